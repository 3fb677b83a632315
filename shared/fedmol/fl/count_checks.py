"""Whether what a site says of its shard can be true, and whether an agreement has room for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fedmol.chem.vocabulary import Vocabulary
from fedmol.errors import Exit, FedmolError
from fedmol.fl.messages import SLOWEST_STEP, CensusCounts, Counts
from fedmol.formats import number

Range = tuple[int, int]  # the least and the most


def counts_of(census: dict[str, list[int]], molecules: int, seconds_per_step: float | None, shard: str) -> Counts:
    """What a site says of its shard, from the census of its training molecules as JSON.

    Raises:
        FedmolError: BAD_DATA or BAD_SETTINGS when no federation would take the site with it.
    """
    if molecules < 2:
        raise FedmolError(
            Exit.BAD_DATA,
            f"the shard has {number(molecules, 'molecule')} for training, and counts of fewer than two are not sent",
            "add molecules to the site's file",
        )
    if seconds_per_step is not None and not 0 < seconds_per_step <= SLOWEST_STEP:
        raise FedmolError(
            Exit.BAD_SETTINGS,
            f"a step of training takes {seconds_per_step:.3g} s here, more than {SLOWEST_STEP} s are not taken",
            "train on a faster machine, or ask the coordinator for a smaller model or training.batch_size",
        )
    histograms = CensusCounts(**{kind: tuple(census[kind]) for kind in CensusCounts.model_fields})
    return Counts(molecules=molecules, census=histograms, seconds_per_step=seconds_per_step, shard=shard)


def check_counts(counts: Counts, vocabulary: Vocabulary, least_count: int = 0) -> None:
    """Raises FedmolError MESSAGE_REFUSED unless the counts can be those of molecules of this vocabulary.

    `least_count` is the setting `data.least_count`, see `check_adds_up`.
    """
    census = counts.census
    lengths = {
        "atoms": (len(census.atoms), len(vocabulary.atoms)),
        "bonds": (len(census.bonds), len(vocabulary.bonds)),
        "sizes": (len(census.sizes), vocabulary.max_atoms + 1),
    }
    for name, (found, classes) in lengths.items():
        if found != classes:
            raise _untrue(f"the census has {found} counts of {name}, the vocabulary {vocabulary.name} has {classes}")
    check_adds_up(census, counts.molecules, least_count)


def check_adds_up(census: CensusCounts, molecules: int, least_count: int = 0) -> None:
    """Raises FedmolError MESSAGE_REFUSED unless sizes, atoms and bonds are those of as many molecules.

    A molecule of n atoms has n atoms and n (n - 1) ordered pairs of them, each of which is a bond of some class or "no
    bond". With a `least_count` every smaller count was raised to it before it was sent, but for that of molecules
    without atoms: a class with just that count then stands for anything from nothing up to it, and the sums are bounds.
    """
    if census.sizes[0] != 0:
        raise _untrue(f"the census counts {census.sizes[0]} molecules without atoms")
    if min(*census.atoms, *census.bonds, *census.sizes[1:]) < least_count:
        raise _untrue(f"the census has counts below data.least_count, which is {least_count}")
    ones = [1] * max(len(census.atoms), len(census.bonds), len(census.sizes))
    numbers = range(len(census.sizes))
    by_size = {
        "molecules": _sum(census.sizes, ones, least_count),
        "atoms": _sum(census.sizes, numbers, least_count),
        "pairs of atoms": _sum(census.sizes, [n * (n - 1) for n in numbers], least_count),
    }
    said = {
        "molecules": (molecules, molecules),
        "atoms": _sum(census.atoms, ones, least_count),
        "pairs of atoms": _sum(census.bonds, ones, least_count),
    }
    for name, (least, most) in said.items():
        if least > by_size[name][1] or most < by_size[name][0]:
            raise _untrue(f"it says {_shown((least, most))} {name}, which by the sizes are {_shown(by_size[name])}")


def _sum(counts: Sequence[int], weights: Sequence[int], least_count: int) -> Range:
    """What the counts may come to, each times its weight."""
    most = [count * weight for count, weight in zip(counts, weights, strict=False)]
    sure = [product for count, product in zip(counts, most, strict=True) if count > least_count]
    return sum(sure), sum(most)


def _shown(range: Range) -> str:
    return f"{range[0]}" if range[0] == range[1] else f"{range[0]} to {range[1]}"


def _untrue(what: str) -> FedmolError:
    return FedmolError(
        Exit.MESSAGE_REFUSED,
        f"the site's counts cannot be those of its molecules: {what}",
        "run an unchanged release of fedmol at the site: it counts the molecules itself",
    )


def lacking(agreed: CensusCounts, own: CensusCounts) -> dict[str, dict[int, int]]:
    """The classes that the agreement gives no probability and a site has, each with the site's count of it.

    Only kinds of classes that lack any are in it: {"atoms": {4: 12}, "sizes": {9: 3}}.
    """
    found = {
        kind: {
            index: count
            for index, (agreed_count, count) in enumerate(zip(getattr(agreed, kind), getattr(own, kind), strict=True))
            if count and not agreed_count
        }
        for kind in CensusCounts.model_fields
    }
    return {kind: classes for kind, classes in found.items() if classes}


def check_room(agreed: CensusCounts, own: CensusCounts, vocabulary: Vocabulary) -> None:
    """Raises FedmolError VOCABULARY_DIFFERS when a site has classes that the agreement gives no probability.

    The federation's noise never makes such a class, and a model trained with it says nothing of these molecules.
    """
    missing = lacking(agreed, own)
    if not missing:
        return
    listed = [number(count, *_called(kind, place, vocabulary)) for kind, place, count in _each(missing)]
    raise FedmolError(
        Exit.VOCABULARY_DIFFERS,
        f"the site has what no site had when the federation agreed on its noise: {', '.join(listed)}",
        "leave the molecules with these out of the site's file, or start a new run with the site",
    )


def _each(missing: dict[str, dict[int, int]]) -> Iterator[tuple[str, int, int]]:
    for kind, classes in missing.items():
        for place, count in classes.items():
            yield kind, place, count // 2 if kind == "bonds" else count  # a bond is two ordered pairs


def _called(kind: str, place: int, vocabulary: Vocabulary) -> tuple[str, str]:
    """One of a class, and several."""
    if kind == "atoms":
        label = vocabulary.atoms[place].label
        return f"atom {label}", f"atoms {label}"
    if kind == "sizes":
        of = number(place, "atom")
        return f"molecule of {of}", f"molecules of {of}"
    if place == 0:
        return "pair of atoms without a bond", "pairs of atoms without a bond"
    return f"{vocabulary.bonds[place]} bond", f"{vocabulary.bonds[place]} bonds"
