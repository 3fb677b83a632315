"""How much generated molecules are like real ones, by the figures that the field prints for any generator.

Each stands beside what as many real molecules would show, for that, and neither 1 nor 0, is what there is to reach.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from fedmol.chem.scaffolds import scaffolds
from fedmol.evaluation import chemnet, descriptors
from fedmol.evaluation.brics import cosine, total_variation
from fedmol.evaluation.profile import Profile, profile
from fedmol.evaluation.quality import Rate
from fedmol.evaluation.similarity import mean_similarity, nearest, nearest_other
from fedmol.extras import how_to_install, missing

Progress = Callable[[str, int, int], None]  # what is being done, molecules done, molecules in all

FEWEST_FOR_FCD = 2000
_TOO_FEW = (
    f"FCD is left out where either side has fewer than {FEWEST_FOR_FCD:,} molecules: the covariance of ChemNet's 512 "
    "activations would be mostly chance."
)
_NOT_INSTALLED = f"FCD is left out: it was measured where the extra fcd is not installed ({how_to_install('fcd')})."
# What each figure is, and which way is better.
ABOUT = {
    "KL score": "GuacaMol's mean of exp(-KL) over nine descriptors and internal similarity; higher is better",
    "FCD": "Fréchet ChemNet distance; lower is better, and fewer molecules make it larger",
    "SNN": "mean similarity to the nearest test molecule; higher is better, but above real ones means copies",
    "Frag": "cosine of the counts of BRICS fragments; higher is better",
    "Scaf": "cosine of the counts of scaffolds with two rings or more; higher is better",
    "IntDiv": "one less the mean similarity of two of the molecules; best is that of real ones",
    "scaffold distance": "total variation of Murcko scaffolds; lower is better",
}


@dataclass(frozen=True)
class Figure:
    """One measure of the generated molecules against the test molecules."""

    name: str  # a key of `ABOUT`
    value: float | None  # None where there is nothing to count
    by_chance: float | None  # of as many real molecules: drawn from those trained on, None if there are not so many


@dataclass(frozen=True)
class Resemblance:
    """The figures, and what they were measured on."""

    molecules: int  # valid ones
    real: int  # test molecules
    figures: tuple[Figure, ...]
    divergences: dict[str, float]  # the KL of each descriptor, in nats
    in_test: Rate  # of the different valid molecules: are among the test molecules
    new_scaffolds: Rate  # of their different scaffolds: in no training molecule; of nothing if none were named
    new_scaffolds_of_test: Rate  # the same of the test molecules

    @property
    def fcd_left_out(self) -> str:
        """Why there is no FCD among the figures; "" if there is."""
        if any(figure.name == "FCD" for figure in self.figures):
            return ""
        return _TOO_FEW if min(self.molecules, self.real) < FEWEST_FOR_FCD else _NOT_INSTALLED


def resemblance(
    generated: Sequence[str], real: Sequence[str], known: Collection[str], on_progress: Progress
) -> Resemblance | None:
    """The resemblance of canonical SMILES to the `real` ones; None if either are fewer than two.

    `known` are those that were trained on: as many as were generated are drawn from them for comparison.
    """
    if min(len(generated), len(real)) < 2:
        return None
    ours, theirs, drawn = _profiles(generated, real, _drawn(known, len(generated)), on_progress)
    divergences = _divergences(ours, theirs)
    figures = _figures(ours, theirs, divergences)
    expected = {} if drawn is None else _figures(drawn, theirs, _divergences(drawn, theirs))
    known_scaffolds = set(scaffolds(list(known)))
    return Resemblance(
        molecules=ours.molecules,
        real=theirs.molecules,
        figures=(
            *(Figure(name, value, expected.get(name)) for name, value in figures.items()),
            *_frechet(ours, theirs, on_progress),
        ),
        divergences=divergences,
        in_test=_among(ours.smiles, set(theirs.smiles)),
        new_scaffolds=_new(ours, known_scaffolds),
        new_scaffolds_of_test=_new(theirs, known_scaffolds),
    )


def _drawn(known: Collection[str], molecules: int) -> list[str]:
    """That many different ones, none if there are fewer."""
    if len(known) < molecules:
        return []
    ordered = sorted(known)
    return [ordered[k] for k in np.random.default_rng(0).permutation(len(ordered))[:molecules]]


def _profiles(
    generated: Sequence[str], real: Sequence[str], drawn: Sequence[str], on_progress: Progress
) -> tuple[Profile, Profile, Profile | None]:
    tell = _counter("descriptors", sum(len(set(group)) for group in (generated, real, drawn)), on_progress)
    return profile(generated, tell), profile(real, tell), profile(drawn, tell) if drawn else None


def _counter(phase: str, total: int, on_progress: Progress) -> Callable[[int], None]:
    done = 0

    def tell(more: int) -> None:
        nonlocal done
        done += more
        on_progress(phase, done, total)

    return tell


def _divergences(ours: Profile, theirs: Profile) -> dict[str, float]:
    """Of equally many different molecules: the nearest other one is nearer in a larger set."""
    size = min(len(ours.smiles), len(theirs.smiles))
    a, b = (np.random.default_rng(0).permutation(len(side.smiles))[:size] for side in (ours, theirs))
    return descriptors.divergences(
        ours.descriptors, theirs.descriptors, nearest_other(ours.bits[a]), nearest_other(theirs.bits[b])
    )


def _figures(ours: Profile, theirs: Profile, divergences: dict[str, float]) -> dict[str, float | None]:
    return {
        "KL score": descriptors.score(list(divergences.values())),
        "SNN": float(np.average(nearest(ours.short_bits, theirs.short_bits), weights=ours.times)),
        "Frag": cosine(ours.fragments, theirs.fragments),
        "Scaf": cosine(ours.large_scaffolds, theirs.large_scaffolds),
        "IntDiv": 1 - mean_similarity(ours.short_bits, ours.times),
        "scaffold distance": total_variation(ours.scaffolds, theirs.scaffolds),
    }


def _frechet(ours: Profile, theirs: Profile, on_progress: Progress) -> tuple[Figure, ...]:
    if min(ours.molecules, theirs.molecules) < FEWEST_FOR_FCD or missing("fcd"):
        return ()
    tell = _counter("ChemNet", len(ours.smiles) + len(theirs.smiles), on_progress)
    generated, real = (chemnet.activations(side.smiles, side.times, tell) for side in (ours, theirs))
    return (Figure("FCD", chemnet.frechet(generated, real), chemnet.by_chance(real, len(generated))),)


def _new(generated: Profile, known_scaffolds: Collection[str | None]) -> Rate:
    different = generated.scaffolds.keys() - {""} if known_scaffolds else set()
    return Rate(len(different - set(known_scaffolds)), len(different))


def _among(different: Collection[str], others: Collection[str]) -> Rate:
    return Rate(sum(element in others for element in different), len(different))
