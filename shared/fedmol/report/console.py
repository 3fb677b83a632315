"""Figures as tables on the console."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from fedmol.evaluation.comparison import NOT_MEASURED, Row
from fedmol.evaluation.evaluation import Evaluation
from fedmol.evaluation.quality import Quality, Rate
from fedmol.evaluation.resemblance import ABOUT, Resemblance
from fedmol.evaluation.smiles import Contents
from fedmol.formats import fixed, number

_OF = {
    "validity": "samples",
    "relaxed_validity": "samples, N+ and O+ allowed",
    "connected": "samples",
    "uniqueness": "relaxed-valid",
    "uniqueness_strict": "valid",
    "novelty": "distinct relaxed-valid",
    "novelty_strict": "distinct valid",
    "valid_unique_novel": "samples",
}


def print_evaluation(console: Console, result: Evaluation) -> None:
    """Quality, likelihood, distances and resemblance, each with the number of molecules behind it."""
    if result.contents is not None:
        console.print("\n".join(_contents(result.contents)), highlight=False, markup=False)
    console.print(_quality(result.quality, bool(result.known)))
    if result.likelihood is not None:
        found = result.likelihood
        console.print(
            f"NLL {found.published:.2f} ± {fixed(1.96 * found.standard_error)} nats per molecule by the published "
            f"definition ({found.molecules:,} test molecules); {found.sampler:.2f} for the model that is sampled",
            highlight=False,
        )
    if result.distances:
        console.print(_distances(result))
    if result.fitting is not None and result.test and result.fitting < result.quality.validity.count:
        console.print(_left_out(result.fitting, result.quality.validity.count, result.vocabulary), highlight=False)
    if result.resemblance is not None:
        _print_resemblance(console, result.resemblance)
    if result.test and (not result.distances or result.resemblance is None):
        console.print(_not_compared(result), highlight=False)


def print_comparison(console: Console, rows: tuple[Row, ...]) -> None:
    """Federated beside centralised, with the published differences."""
    table = Table("metric", title="federated against centralised", title_justify="left", box=box.SIMPLE)
    for heading in ("federated", "central", "off by", "±", "%", "published"):
        table.add_column(heading, justify="right")
    for row in rows:
        if row.federated is not None:
            table.add_row(
                row.metric,
                *map(_figure, (row.federated, row.centralised, row.difference, row.noise)),
                _percent(row.percent),
                _percent(None if row.published is None else row.published.percent_off),
            )
    console.print(table)
    console.print(NOT_MEASURED, highlight=False)


def _quality(quality: Quality, novelty: bool) -> Table:
    table = Table("metric", "share of", title="quality of the samples", title_justify="left", box=box.SIMPLE)
    for heading in ("count", "share", "95 % interval"):
        table.add_column(heading, justify="right")
    for name, of in _OF.items():
        rate: Rate = getattr(quality, name)
        if novelty or "novel" not in name:
            low, high = rate.interval
            table.add_row(
                name.replace("_", " "),
                of,
                f"{rate.count:,} / {rate.total:,}",
                f"{rate.share:.2%}" if rate.total else "none to count",
                f"{low:.2%} - {high:.2%}" if rate.total else "",
            )
    return table


def _contents(found: Contents) -> list[str]:
    """What a reader must know of the file before its figures; nothing of what did not occur."""
    lines = ", ".join(map(str, found.invalid_lines)) + (", ..." if found.invalid > len(found.invalid_lines) else "")
    where = f"line {lines}" if found.invalid == 1 else f"lines {lines}"
    reasons = "".join(f"\n    {many:,}: {reason}" for reason, many in found.reasons.items())
    said = (
        (found.invalid, "is not a valid molecule", "are not valid molecules", f" ({where}){reasons}"),
        (found.duplicates, "repeats", "repeat", " a molecule that came before"),
        (found.fragmented, "is", "are", " in several fragments: the one with most heavy atoms is judged"),
        (found.ions, "is an ion", "are ions", ""),
        (found.charged_atoms, "has", "have", " charged atoms, ions among them"),
        (found.stereo, "has", "have", " stereo, which is not looked at"),
        (found.isotopes, "has", "have", " isotopes, which are not looked at"),
        (found.blank, "blank line", "blank lines", " besides"),
    )
    counted = (f"  {many:,} {single if many == 1 else more}{rest}" for many, single, more, rest in said if many)
    return [number(found.rows, "row"), *counted]


def _print_resemblance(console: Console, found: Resemblance) -> None:
    table = Table(
        "figure",
        title=f"{found.molecules:,} valid molecules against {found.real:,} test molecules",
        title_justify="left",
        box=box.SIMPLE,
    )
    for heading in ("value", "as many real ones"):
        table.add_column(heading, justify="right")
    table.add_column("what it is")
    for figure in found.figures:
        by_chance = _figure(figure.by_chance) or "none to draw from"
        table.add_row(figure.name, _figure(figure.value) or "none to compare", by_chance, ABOUT[figure.name])
    console.print(table)
    if found.fcd_left_out:
        console.print(found.fcd_left_out, highlight=False)
    shares = [(found.in_test, "of the different molecules are test molecules")]
    if found.new_scaffolds.total:
        shares += [
            (found.new_scaffolds, "of their scaffolds are in no training molecule"),
            (found.new_scaffolds_of_test, "of the test molecules' scaffolds are in no training molecule"),
        ]
    for rate, what in shares:
        if rate.total:
            low, high = rate.interval
            console.print(f"{rate.share:.2%} ({low:.2%} - {high:.2%}) {what}", highlight=False)


def _not_compared(result: Evaluation) -> str:
    """Which comparisons with the test molecules are not there, and why."""
    valid = number(result.quality.validity.count, "valid molecule")
    if result.resemblance is None:
        what = "the resemblance" if result.distances else "distances and resemblance"
        least = f"{valid} and {number(result.test, 'test molecule')}, and resemblance takes two of each"
        return f"{what} to the test molecules left out: {least}"
    return f"distances to the test molecules left out: none of {valid} fits the vocabulary {result.vocabulary}"


def _left_out(fitting: int, valid: int, vocabulary: str) -> str:
    return (
        f"the distances are those of {fitting:,} of {valid:,} valid molecules: {valid - fitting:,} have atoms, charges "
        f"or sizes that the vocabulary {vocabulary} lacks (--vocabulary names another)"
    )


def _distances(result: Evaluation) -> Table:
    table = Table(
        "distribution", title=f"distance to {result.test:,} test molecules", title_justify="left", box=box.SIMPLE
    )
    for heading in ("total variation", "expected by chance", "Wasserstein"):
        table.add_column(heading, justify="right")
    for distance in result.distances:
        shift = "" if distance.wasserstein is None else f"{distance.wasserstein:.3f}"
        table.add_row(distance.name, f"{distance.total_variation:.4f}", f"{distance.by_chance:.4f}", shift)
    return table


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} %"
