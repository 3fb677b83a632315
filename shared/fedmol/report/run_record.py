"""A run as its folder tells it: settings, event logs, data cards, evaluations. What is missing is simply not there."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from fedmol.data.card import DataCard, read_card
from fedmol.errors import Exit, FedmolError
from fedmol.evaluation import Evaluation, read_evaluation
from fedmol.fl.federation import Settings, load
from fedmol.report.membership import Membership, membership
from fedmol.telemetry import log
from fedmol.telemetry.events import Misfit, RoundFinished
from fedmol.telemetry.log import Event

_FIGURES = ("loss", "nll", "seconds", "seconds_outside_training", "aggregator_cpu_seconds")
# `fedmol run` plays the aggregator in a folder of its own; an aggregator that serves real sites has the run folder.
_LOGS = ("events.jsonl", "aggregator/events.jsonl")


@dataclass(frozen=True)
class Round:
    """What the aggregator wrote when a round was finished."""

    number: int
    weights: dict[str, float]  # of the sites whose updates counted
    missing: list[str]  # whose updates did not count
    site_loss: dict[str, float]
    site_nll: dict[str, float]  # of the model that entered the round, on each site's validation molecules
    loss: float | None = None
    nll: float | None = None
    seconds: float | None = None
    seconds_outside_training: float | None = None
    aggregator_cpu_seconds: float | None = None

    @staticmethod
    def of(event: Event) -> Round:
        said = RoundFinished.model_validate(event.fields)
        return Round(
            number=event.round or 0,
            weights=_known(said.weights),
            missing=sorted([*said.missing, *said.excluded]),
            site_loss=_known(said.site_loss),
            site_nll=_known(said.site_nll),
            **{name: getattr(said, name) for name in _FIGURES},
        )


def _known(figures: dict[str, float | None]) -> dict[str, float]:
    return {site: value for site, value in figures.items() if value is not None}


@dataclass(frozen=True)
class SiteRecord:
    """A site's own files, where they lie in the run folder."""

    name: str
    events: list[Event]
    card: DataCard | None


@dataclass(frozen=True)
class RunRecord:
    """Everything that the report is made from."""

    folder: Path
    kept: Settings  # as they lie in the folder: those of the last start
    course: Membership
    events: list[Event]
    sites: list[SiteRecord]  # of everybody who was in the run
    evaluation: Evaluation | None
    baseline: Evaluation | None
    baseline_losses: list[tuple[int, float]]  # (step, loss)
    misfits: list[str] = field(default_factory=list)  # lines of the log that are left out, and why

    @property
    def settings(self) -> Settings:
        """As the run began."""
        return self.course.settings

    @property
    def played(self) -> bool:
        """The sites' own files are here, so `fedmol run` dealt out the molecules that the settings name."""
        return any(site.card or site.events for site in self.sites)

    def of_kind(self, *kinds: str) -> Iterator[Event]:
        return (event for event in self.events if event.kind in kinds)

    def last(self, *kinds: str) -> Event | None:
        found = list(self.of_kind(*kinds))
        return found[-1] if found else None

    def said(self, kind: str, name: str, default: Any = None) -> Any:
        """A field of the last event of that kind."""
        event = self.last(kind)
        return default if event is None else event.fields.get(name, default)

    @property
    def run(self) -> str:
        return self.events[0].run if self.events else self.folder.resolve().name

    @property
    def began(self) -> datetime | None:
        return datetime.fromisoformat(self.events[0].time) if self.events else None

    @property
    def seconds(self) -> float | None:
        """Until the run was finished, or to its last event: a finished run may be served again, years later."""
        if not self.events or self.began is None:
            return None
        end = self.last("run_finished", "round_started", "round_finished")
        last = end if end is not None and end.kind == "run_finished" else self.events[-1]
        return (datetime.fromisoformat(last.time) - self.began).total_seconds()

    @cached_property
    def rounds(self) -> list[Round]:
        """Finished rounds in order; of one that was played again after a restart, the last account."""
        finished = {event.round: Round.of(event) for event in self.of_kind("round_finished") if event.round}
        return [finished[number] for number in sorted(finished)]


def read_record(folder: Path) -> RunRecord:
    """The record of the run in `folder`.

    Raises:
        FedmolError: USAGE if it holds no run, STATE_UNUSABLE if a log in it is damaged, BAD_DATA or BAD_SETTINGS if
            another file is.
    """
    if not (folder / "settings.yaml").is_file():
        raise FedmolError(
            Exit.USAGE,
            f"{folder} is not the folder of a run: it has no settings.yaml",
            "name a folder such as runs/<id>",
        )
    settings, misfits = load(folder / "settings.yaml"), list[str]()
    told = next((found for name in _LOGS if (found := _events(folder / name, misfits))), [])
    way = membership(settings, told)
    return RunRecord(
        folder,
        settings,
        way,
        told,
        [_site(folder / "sites" / name, name) for name in way.sites],
        _evaluation(folder / "evaluation.json"),
        _evaluation(folder / "baseline" / "evaluation.json"),
        _losses(folder / "baseline" / "losses.csv"),
        misfits,
    )


def _site(folder: Path, name: str) -> SiteRecord:
    card = folder / "card.json"
    return SiteRecord(name, _events(folder / "events.jsonl", []), read_card(card) if os.path.lexists(card) else None)


def _events(path: Path, misfits: list[str]) -> list[Event]:
    def note(line: int, misfit: Misfit) -> None:
        misfits.append(f"{path.name}, line {line}: {misfit}")

    return list(log.read(path, note)) if path.is_file() else []


def _evaluation(path: Path) -> Evaluation | None:
    return read_evaluation(path) if os.path.lexists(path) else None


def _losses(path: Path) -> list[tuple[int, float]]:
    if not path.is_file():
        return []
    try:
        with path.open(newline="") as file:
            return [(int(row["step"]), float(row["loss"])) for row in csv.DictReader(file)]
    except (ValueError, KeyError, TypeError) as error:
        raise FedmolError(
            Exit.STATE_UNUSABLE, f"{path} does not hold steps and losses: {error}", "train the baseline again"
        ) from None
