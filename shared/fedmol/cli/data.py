"""`fedmol data`: look at a file of molecules before a federation sees it, make one, split one."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import click
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from fedmol import formats
from fedmol.chem.normal_form import EMPTY
from fedmol.chem.smiles_to_graphs import Encoded
from fedmol.chem.vocabulary import Recipe, Vocabulary
from fedmol.cli.options import SEED, OutputFile, standardise, vocabulary
from fedmol.cli.rows_read import RowsRead
from fedmol.data.card import DataCard, Rejection, check
from fedmol.data.molecule_files import Table, read_table
from fedmol.data.proposal import KEEP, Kinds, comments, kinds_of, propose
from fedmol.data.shards import encode_table, shard_of
from fedmol.data.sources import load, write_table
from fedmol.data.splits import split
from fedmol.errors import Exit, FedmolError
from fedmol.files import write_file
from fedmol.settings import DataSettings, OwnVocabulary, Split


@click.group()
def data() -> None:
    """Inspect, make and split files of molecules."""


def _own_name(_: click.Context, __: click.Parameter, name: str) -> str:
    try:
        return OwnVocabulary(name=name, atoms=("C",), max_atoms=2).name
    except ValidationError:
        raise click.BadParameter(
            f"{name!r} cannot be the name: take lower-case letters, digits and hyphens, and no name that fedmol uses"
        ) from None


def _rows(card: DataCard) -> list[tuple[str, str]]:
    def listed(counts: dict[str, int] | dict[int, int]) -> str:
        return ", ".join(f"{name}: {n:,}" for name, n in counts.items())

    rejected = [
        ("rejected", f"{rejection.count:,}: {reason}, {rejection.where}") for reason, rejection in card.rejected.items()
    ]
    scaffolds = ", ".join(f"{scaffold.smiles or 'no ring'}: {scaffold.count:,}" for scaffold in card.largest_scaffolds)
    return [
        *([("column", f"{card.column}, in a table without a header")] if card.column.isdecimal() else []),
        ("rows read", f"{card.read:,}"),
        ("molecules kept", f"{card.kept:,}"),
        *([("without their", f"{listed(card.dropped)}, which are not modelled")] if card.dropped else []),
        *([("standardised", f"{listed(card.changed)} (by the recipe {card.recipe})")] if card.changed else []),
        (
            "duplicates",
            f"{card.duplicates:,}" + (f", {card.alike:,} of them differ in {card.likeness}" if card.alike else ""),
        ),
        *(rejected or [("rejected", "0")]),
        ("blank", f"{card.blank:,}"),
        ("heavy atoms", listed(card.sizes)),
        ("atoms", listed(card.atoms)),
        ("bonds", listed(card.bonds)),
        ("scaffolds", f"{card.scaffolds:,}; largest {scaffolds}" if card.scaffolds else "0"),
        ("vocabulary", f"{card.vocabulary} ({card.vocabulary_digest[:12]})"),
    ]


def _grid(card: DataCard) -> Grid:
    # Text, not strings: rich would take the brackets of a SMILES for markup.
    grid = Grid(title=Text(f"Data card of {card.source}"), show_header=False, title_justify="left")
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in _rows(card):
        grid.add_row(name, Text(value))
    return grid


def _write_rejected(out: Path, table: Table, encoded: Encoded) -> None:
    """All of them, in the order of the source."""
    reasons = {row: reason for reason, rows in encoded.rejected.items() for row in rows}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("line", "reason", "smiles"))
    writer.writerows((table.lines[row], reasons[row], table.smiles[row]) for row in sorted(reasons))
    write_file(out, text.getvalue().encode(), 0o600)


@data.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--column",
    default="smiles",
    show_default=True,
    help="column with the SMILES: its name, or its number if there is no header",
)
@vocabulary
@standardise
@click.option("--json", "as_json", is_flag=True, help="print the card as JSON")
@click.option("--rejected", type=OutputFile(), help="CSV file for all rejected rows: line, reason, SMILES")
def card(
    file: Path, column: str, vocabulary: Vocabulary, standardise: Recipe, as_json: bool, rejected: Path | None
) -> None:
    """Print what FILE holds, and why rows are rejected."""
    types = replace(vocabulary, recipe=standardise)
    table = read_table(file, column)
    with RowsRead(Console(stderr=True)) as rows:
        encoded = encode_table(table, types, rows.follow)
    made = shard_of(table, encoded, types).card
    if rejected is not None:
        _write_rejected(rejected, table, encoded)
    if as_json:
        click.echo(made.to_json())
    else:
        Console().print(_grid(made))
    check(made)


@data.command("vocabulary")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--column", default="smiles", show_default=True, help="column with the SMILES, in tables")
@standardise
@click.option(
    "--keep",
    default=KEEP,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True),
    help="share of the molecules that has to fit",
)
@click.option("--name", default="ours", show_default=True, callback=_own_name, help="name of the vocabulary")
def propose_vocabulary(files: tuple[Path, ...], column: str, standardise: Recipe, keep: float, name: str) -> None:
    """Propose the smallest vocabulary that nearly all molecules in FILES fit.

    The output is YAML, for the section `model` of federation.yaml or for a file that --vocabulary names. Comments say
    what the proposal leaves out, and what the vocabularies that ship with fedmol would leave out.
    """
    kinds, read = Kinds(), 0
    with RowsRead(Console(stderr=True)) as rows:
        for file in files:
            table = read_table(file, column)
            kinds.update(kinds_of(table.smiles, standardise, rows.follow))
            read += len(table)
    if not kinds:
        raise FedmolError(
            Exit.BAD_DATA,
            f"{', '.join(map(str, files))}: none of {formats.number(read, 'row')} holds a molecule",
            "see why: fedmol data card FILE; name the column with the SMILES by --column",
        )
    try:
        proposal = propose(name, kinds, keep)
    except ValueError as error:
        raise FedmolError(Exit.BAD_DATA, f"{', '.join(map(str, files))}: {error}", "keep less, by --keep") from None
    for line in comments(proposal, kinds):
        click.echo(f"# {line}")
    if read > kinds.total():
        click.echo(
            f"# {formats.number(read - kinds.total(), 'row')} that no vocabulary holds: see fedmol data card FILE"
        )
    click.echo(proposal.yaml)


@data.command()
@click.option("--source", default="embedded", show_default=True, help="embedded, qm9, or a file")
@click.option("--column", default="smiles", show_default=True, help="column with the SMILES, if the source is a table")
@click.option("--out", required=True, type=OutputFile(), help="CSV file to write")
@click.option("--limit", type=click.IntRange(min=1), help="only this many molecules, drawn with --seed")
@click.option("--seed", default=0, show_default=True, type=SEED)
def make(source: str, column: str, out: Path, limit: int | None, seed: int) -> None:
    """Write the molecules of a source to a CSV file."""
    table = _with_molecules(load(DataSettings(source=source, column=column, limit=limit), seed=seed))
    write_table(out, table.smiles)
    click.echo(f"{len(table):,} molecules written to {out}")


def _with_molecules(table: Table) -> Table:
    """The rows that have a SMILES cell, whatever stands in it; says which have none."""
    without = {row: table.faults.get(row, EMPTY) for row, text in enumerate(table.smiles) if not text}
    for reason in sorted(set(without.values())):
        rows = Rejection.of([table.lines[row] for row, why in without.items() if why == reason])
        click.echo(f"{rows.count:,} rows are left out: {reason} (lines {rows.listed})", err=True)
    return table.take([row for row in range(len(table)) if row not in without])


def _split_settings(kind: str, alpha: float | None, sizes: str | None) -> Split:
    document: dict[str, object] = {"kind": kind}
    if alpha is not None:
        document["alpha"] = alpha
    if sizes is not None:
        document["sizes"] = sizes.split(",")
    try:
        adapter: TypeAdapter[Split] = TypeAdapter(Split)
        return adapter.validate_python(document)
    except ValidationError as error:
        wrong = "; ".join(f"{e['loc'][-1]}: {e['msg']}" for e in error.errors())
        raise FedmolError(
            Exit.BAD_SETTINGS,
            f"the options of the split {kind!r} do not fit: {wrong}",
            "dirichlet needs --alpha, uneven needs --sizes, scaffold takes --sizes, iid neither",
        ) from None


@data.command("split")
@click.argument("file")
@click.option("--sites", default=2, show_default=True, type=click.IntRange(min=1))
@click.option("--kind", default="iid", show_default=True, type=click.Choice(["iid", "uneven", "scaffold", "dirichlet"]))
@click.option("--alpha", type=float, help="concentration of the Dirichlet split; small values make sites differ")
@click.option("--sizes", help="relative sizes of the sites, such as 4,2,1")
@click.option("--column", default="smiles", show_default=True)
@click.option("--seed", default=0, show_default=True, type=SEED)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="folder for site-1.csv, ..."
)
def split_file(
    file: str, sites: int, kind: str, alpha: float | None, sizes: str | None, column: str, seed: int, out: Path
) -> None:
    """Split the rows of FILE, or of the source embedded or qm9, among sites: one CSV file each."""
    how = _split_settings(kind, alpha, sizes)
    table = _with_molecules(load(DataSettings(source=file, column=column)))
    for number, rows in enumerate(split(table.smiles, how, sites, seed), start=1):
        path = out / f"site-{number}.csv"
        write_table(path, table.take(rows.tolist()).smiles, table.column)
        click.echo(f"{len(rows):>8,} rows  {path}")
