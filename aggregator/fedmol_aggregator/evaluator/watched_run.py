"""The aggregator's folder as the evaluator sees it: read, never written."""

from __future__ import annotations

from pathlib import Path

from fedmol.fl.checkpoints import Checkpoints
from fedmol.fl.federation import Settings, load
from fedmol.fl.messages import read_agreement
from fedmol.fl.payload import MODEL
from fedmol.run_folder import RunFolder
from fedmol.telemetry import state
from fedmol.telemetry.log import Follower
from fedmol.telemetry.reducer import apply
from fedmol.training.assembly import denoiser_of, model_of
from fedmol.training.model_file import TrainedModel
from fedmol.training.parameter_vector import manifest


class Run:
    """One run, as far as its event log has been read. The folder may be empty, or not there, at first."""

    def __init__(self, work: Path) -> None:
        self.work = RunFolder(work)
        self._known, self._follower = state.Run(), Follower(self.work.log)

    def look(self) -> None:
        """Take up what has been logged since the last look.

        Raises:
            FedmolError: STATE_UNUSABLE if that is no event log.
        """
        for event in self._follower.new():
            apply(self._known, event)

    @property
    def begun(self) -> bool:
        return self._known.began is not None

    @property
    def round(self) -> int | None:
        """The newest that is finished."""
        return max((finished_round.number for finished_round in self._known.finished_rounds), default=None)

    @property
    def finished(self) -> bool:
        """The model is there, which the aggregator writes last of all. A run that was only stopped may go on."""
        return self._known.outcome is not None and self.work.model.exists()

    def settings(self) -> Settings:
        return load(self.work.settings)

    def model(self, round: int) -> TrainedModel:
        """The model that left the round.

        Raises:
            FedmolError: STATE_UNUSABLE if it is not there any more: the aggregator keeps the newest ones only.
        """
        settings = self.settings()
        agreement = read_agreement(self.work.agreement)
        checkpoints = Checkpoints(self.work.rounds, settings.rounds.keep_checkpoints)
        agreed = settings.strategy.payload(manifest(denoiser_of(settings)).size)
        weights = checkpoints.load(round, agreed).sections[MODEL]
        return model_of(settings, agreement, weights)
