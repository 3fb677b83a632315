"""Validity, uniqueness, novelty: shares of generated molecules, each with its counts and its confidence interval."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from fedmol.chem.graphs_to_molecules import Reading

_Z = 1.959963984540054  # two-sided 95 % of the normal distribution


@dataclass(frozen=True)
class Rate:
    """`count` of `total`."""

    count: int
    total: int

    @property
    def share(self) -> float:
        """`count / total`; NaN of nothing."""
        return self.count / self.total if self.total else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the share (Wilson 1927); (0, 1) when nothing was counted.

        Exact draws are assumed. Uniqueness and novelty are shares of molecules that depend on each other, so theirs
        is an approximation.
        """
        if not self.total:
            return 0.0, 1.0
        n, p = self.total, self.share
        scale = 1 + _Z**2 / n
        centre = (p + _Z**2 / (2 * n)) / scale
        half = _Z * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2)) / scale
        low = 0.0 if self.count == 0 else centre - half
        return low, 1.0 if self.count == n else centre + half


@dataclass(frozen=True)
class Quality:
    """The reference's metrics by the reference's definitions (DiGress, `rdkit_functions.py`), and stricter ones.

    The reference counts uniqueness and novelty over relaxed-valid molecules; `..._strict` over strictly valid ones.
    """

    validity: Rate  # of all samples: obeys valence as it stands; the largest fragment counts
    relaxed_validity: Rate  # of all samples: N and O with one bond too many may carry a charge of +1
    connected: Rate  # of all samples: one fragment
    uniqueness: Rate  # distinct ones of relaxed-valid
    uniqueness_strict: Rate  # distinct ones of strictly valid
    novelty: Rate  # unknown ones of distinct relaxed-valid
    novelty_strict: Rate  # unknown ones of distinct strictly valid
    valid_unique_novel: Rate  # of all samples: distinct, strictly valid and unknown


def measure(samples: Sequence[Reading], known: Collection[str]) -> Quality:
    """The quality of `samples` against the canonical SMILES that the model was trained on (`known`, best a set)."""
    total = len(samples)
    strict = [sample.smiles for sample in samples if sample.smiles is not None]
    relaxed = [sample.relaxed for sample in samples if sample.relaxed is not None]
    distinct, distinct_relaxed = set(strict), set(relaxed)
    novel = sum(text not in known for text in distinct)
    return Quality(
        validity=Rate(len(strict), total),
        relaxed_validity=Rate(len(relaxed), total),
        connected=Rate(sum(sample.connected for sample in samples), total),
        uniqueness=Rate(len(distinct_relaxed), len(relaxed)),
        uniqueness_strict=Rate(len(distinct), len(strict)),
        novelty=Rate(sum(text not in known for text in distinct_relaxed), len(distinct_relaxed)),
        novelty_strict=Rate(novel, len(distinct)),
        valid_unique_novel=Rate(novel, total),
    )
