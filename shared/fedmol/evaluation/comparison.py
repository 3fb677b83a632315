"""Federated against centralised: differences on the metrics of the federated DiGress paper (arXiv 2501.12523)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fedmol.diffusion import Likelihood
from fedmol.evaluation.evaluation import Evaluation
from fedmol.evaluation.nll import standard_error
from fedmol.evaluation.quality import Rate
from fedmol.settings import DataSettings

PAPER = "arXiv 2501.12523"


@dataclass(frozen=True)
class Published:
    """The paper's federated figure on QM9, and by how many percent it is off the paper's own centralised one."""

    federated: float
    percent_off: float


@dataclass(frozen=True)
class Row:
    """One metric. `difference` is federated - centralised; `percent` the same relative to centralised."""

    metric: str
    lower_is_better: bool
    federated: float | None  # None: not measured
    centralised: float | None
    noise: float | None  # half width of the 95 % interval of the difference
    published: Published | None

    @property
    def difference(self) -> float | None:
        if self.federated is None or self.centralised is None:
            return None
        return self.federated - self.centralised

    @property
    def percent(self) -> float | None:
        if self.difference is None or not self.centralised:
            return None
        return 100 * self.difference / self.centralised

    @property
    def measurable(self) -> bool | None:
        """Whether the difference is larger than its noise."""
        if self.difference is None or self.noise is None:
            return None
        return abs(self.difference) > self.noise


PUBLISHED = {
    "NLL": Published(70.58, 3.11),
    "validity": Published(0.9560, 0.42),
    "uniqueness": Published(0.9989, 0.31),
    "MAE": Published(0.7026, 1.36),
}
NOT_MEASURED = (
    "The paper's fourth figure, the MAE of a property regressor on noised graphs, is not measured yet. It is a figure "
    "of that regressor and not of the generator, and not far from 0.81, that of always predicting the mean."
)


def comparable(data: DataSettings) -> bool:
    """Whether a run on these data may be set beside the published figures at all."""
    return data.source == "qm9" and data.limit is None


def compare(federated: Evaluation, centralised: Evaluation | None) -> tuple[Row, ...]:
    """The paper's metrics, and novelty; with the baseline's side empty where there is none."""
    other = centralised
    return (
        _nll(federated, other),
        *(
            _rate(name, getattr(federated.quality, name), None if other is None else getattr(other.quality, name))
            for name in ("validity", "uniqueness", "novelty")
        ),
        Row("MAE", True, None, None, None, PUBLISHED["MAE"]),
    )


def _nll(federated: Evaluation, centralised: Evaluation | None) -> Row:
    ours = federated.likelihood
    theirs = None if centralised is None else centralised.likelihood
    noise = None if centralised is None else _nll_noise(federated, centralised)
    return Row("NLL", True, _published(ours), _published(theirs), noise, PUBLISHED["NLL"])


def _nll_noise(ours: Evaluation, theirs: Evaluation) -> float | None:
    if ours.likelihood is None or theirs.likelihood is None:
        return None
    asked, asked_too = ((result.seed, result.test, len(result.nll_blocks)) for result in (ours, theirs))
    if asked == asked_too and len(ours.nll_blocks) > 1:  # both saw the same molecules at the same times
        return 1.96 * standard_error([a - b for a, b in zip(ours.nll_blocks, theirs.nll_blocks, strict=True)])
    return 1.96 * math.hypot(ours.likelihood.standard_error, theirs.likelihood.standard_error)


def _published(likelihood: Likelihood | None) -> float | None:
    return None if likelihood is None else likelihood.published


def _rate(name: str, ours: Rate, theirs: Rate | None) -> Row:
    noise = None if theirs is None or not ours.total or not theirs.total else _newcombe(ours, theirs)
    return Row(name, False, _share(ours), None if theirs is None else _share(theirs), noise, PUBLISHED.get(name))


def _share(rate: Rate) -> float | None:
    return rate.share if rate.total else None


def _newcombe(a: Rate, b: Rate) -> float:
    """The wider half of the 95 % interval of a difference of shares (Newcombe 1998, method 10)."""
    (a_low, a_high), (b_low, b_high) = a.interval, b.interval
    return max(
        math.hypot(a.share - a_low, b_high - b.share),
        math.hypot(a_high - a.share, b.share - b_low),
    )
