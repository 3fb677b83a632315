"""A run as its folder tells it: settings, event logs, data cards, evaluations. What is missing is simply not there."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from fedmol.data.card import DataCard, read_card
from fedmol.errors import Exit, FedmolError
from fedmol.evaluation import Evaluation, read_evaluation
from fedmol.fl.federation import Settings, load
from fedmol.report.membership import Membership, membership
from fedmol.run_folder import RunFolder
from fedmol.telemetry.history import History, read_history
from fedmol.telemetry.state import Round, Run


@dataclass(frozen=True)
class SiteRecord:
    """A site's own files, where they lie in the run folder."""

    name: str
    run: Run | None  # by its own log
    card: DataCard | None


@dataclass(frozen=True)
class RunRecord:
    """Everything that the report is made from."""

    folder: RunFolder
    kept: Settings  # as they lie in the folder: those of the last start
    course: Membership
    run: Run  # by the aggregator's log
    sites: list[SiteRecord]  # of everybody who was in the run
    evaluation: Evaluation | None
    baseline: Evaluation | None
    baseline_losses: list[tuple[int, float]]  # (step, loss)

    @property
    def settings(self) -> Settings:
        """As the run began."""
        return self.course.settings

    @property
    def played(self) -> bool:
        """The sites' own files are here, so `fedmol run` dealt out the molecules that the settings name."""
        return any(site.card or site.run for site in self.sites)

    @property
    def run_id(self) -> str:
        return self.run.run or self.folder.path.resolve().name

    @property
    def began(self) -> datetime | None:
        return None if self.run.began is None else datetime.fromtimestamp(self.run.began, UTC)

    @property
    def seconds(self) -> float | None:
        """Until the run was finished, or to its last event: a finished run may be served again, years later."""
        run, end = self.run, self.run.finished or self.run.last_event
        return None if run.began is None or end is None else end - run.began

    @cached_property
    def rounds(self) -> list[Round]:
        """Finished rounds in order; of one that was played again after a restart, the last account."""
        return sorted(self.run.finished_rounds, key=lambda round: round.number)


def read_record(path: Path) -> RunRecord:
    """The record of the run in the folder `path`.

    Raises:
        FedmolError: USAGE if it holds no run, STATE_UNUSABLE if a log in it is damaged, BAD_DATA or BAD_SETTINGS if
            another file is.
    """
    folder = RunFolder(path)
    if not folder.settings.is_file():
        raise FedmolError(
            Exit.USAGE,
            f"{path} is not the folder of a run: it has no {folder.settings.name}",
            "name a folder such as runs/<id>",
        )
    settings = load(folder.settings)
    history = _history(folder.told) or History()
    way = membership(settings, history)
    return RunRecord(
        folder,
        settings,
        way,
        history.run,
        [_site(folder.site(name), name) for name in way.sites],
        _evaluation(folder.evaluation),
        _evaluation(folder.baseline.evaluation),
        _losses(folder.baseline.losses),
    )


def _site(folder: RunFolder, name: str) -> SiteRecord:
    history = _history(folder.log)
    card = read_card(folder.card) if os.path.lexists(folder.card) else None
    return SiteRecord(name, None if history is None else history.run, card)


def _history(log: Path) -> History | None:
    """None where there is no event."""
    history = read_history(log) if log.is_file() else History()
    return None if history.run.began is None else history


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
