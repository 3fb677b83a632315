"""The report's charts and molecule pictures, from the record of a run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from markupsafe import Markup

from fedmol.chem.drawing import svg
from fedmol.data.card import DataCard
from fedmol.errors import FedmolError
from fedmol.evaluation.distances import Distance
from fedmol.report.svg_charts import Series, bars, lines

if TYPE_CHECKING:  # the page of an evaluation is of no run
    from fedmol.report.run_record import RunRecord

_ALL = _GENERATED = _OUTSIDE = 0  # tones; sites take those after 0, and what they are set against the last
_CENTRAL = _REAL = _WORK = 7
_SITE_TONES = 6


def site_tone(index: int) -> int:
    """The colour of the site at that place among all; after six they come again, as dashed lines."""
    return 1 + index % _SITE_TONES


def curves(record: RunRecord) -> list[Markup]:
    """Loss, validation NLL and time, over the rounds."""
    rounds = record.rounds
    numbers = [round.number for round in rounds]
    sites = record.course.sites
    loss = [
        Series(name, [round.site_loss.get(name) for round in rounds], site_tone(k), dashed=k >= _SITE_TONES)
        for k, name in enumerate(sites)
    ]
    nll = [
        Series(name, [round.site_nll.get(name) for round in rounds], site_tone(k), dashed=k >= _SITE_TONES)
        for k, name in enumerate(sites)
    ]
    if record.baseline_losses:
        loss.append(Series("central baseline", central_loss(record), _CENTRAL))
    if len(sites) > 1:
        loss.append(Series("all, weighted", [round.loss for round in rounds], _ALL, emphasis=True))
        nll.append(Series("all, weighted", [round.nll for round in rounds], _ALL, emphasis=True))
    return [
        lines("Training loss, mean over the round", numbers, loss, "round", "loss"),
        lines("Validation NLL of the model that enters the round", numbers, nll, "round", "nats per molecule"),
        seconds(record),
    ]


def central_loss(record: RunRecord) -> list[float | None]:
    """The baseline's mean loss over the same share of its steps as each round is of the federation's."""
    rounds = record.course.latest.training.rounds
    total = max(step for step, _ in record.baseline_losses)
    of_round: dict[int, list[float]] = {}
    for step, loss in record.baseline_losses:
        of_round.setdefault(math.ceil(step * rounds / total), []).append(loss)
    return [sum(found) / len(found) if (found := of_round.get(round.number)) else None for round in record.rounds]


def seconds(record: RunRecord) -> Markup:
    """Seconds per round: the slowest site's own work, and everything else."""
    timed = [round for round in record.rounds if round.seconds is not None]
    outside = [round.seconds_outside_training or 0.0 for round in timed]
    working = [(round.seconds or 0.0) - rest for round, rest in zip(timed, outside, strict=True)]
    return bars(
        "Time per round",
        [str(round.number) for round in timed],
        [
            Series("slowest site at work", working, _WORK),
            Series("outside training", outside, _OUTSIDE),
        ],
        "round",
        "seconds",
        stacked=True,
    )


def distribution(distance: Distance) -> Markup:
    """Generated beside real, without the classes that neither has."""
    shown = [k for k in range(len(distance.labels)) if distance.generated[k] or distance.real[k]]
    return bars(
        distance.unit.capitalize(),
        [distance.labels[k] for k in shown],
        [
            Series("real (test set)", [distance.real[k] for k in shown], _REAL),
            Series("generated", [distance.generated[k] for k in shown], _GENERATED),
        ],
        distance.name,
        "",
        percent=True,
    )


def sizes(card: DataCard, tone: int) -> Markup:
    """How many molecules of each size a shard holds."""
    low, high = (min(card.sizes), max(card.sizes)) if card.sizes else (0, -1)
    labels = [str(size) for size in range(low, high + 1)]
    values = [float(card.sizes.get(size, 0)) for size in range(low, high + 1)]
    return bars("Molecules by size", labels, [Series("molecules", values, tone)], "heavy atoms", "molecules")


def picture(smiles: str, width: int = 176, height: int = 132) -> Markup | None:
    """The molecule drawn, None if it cannot be. Only the SMILES itself is drawn: an extension could carry any text."""
    try:
        return Markup(svg((smiles.split() or [""])[0], (width, height)))
    except FedmolError:
        return None
