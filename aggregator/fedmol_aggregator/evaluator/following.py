"""Following a run: look, do the one thing that there is to do, look again."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from fedmol.errors import FedmolError
from fedmol.evaluation import evaluate
from fedmol.evaluation.reference_molecules import real_molecules, training_molecules
from fedmol.graphs import Graphs
from fedmol.settings import EvaluationSettings
from fedmol.training.assembly import vocabulary_of
from fedmol_aggregator.evaluator.results import Results
from fedmol_aggregator.evaluator.watched_run import Run

log = logging.getLogger("fedmol.evaluator")

COLUMN = "smiles"  # of the SMILES in CSV files
_LOOK_EVERY = 1.0  # seconds


@dataclass
class Evaluator:
    """`test` and `known` are files of molecules, each of which may be left out."""

    run: Run
    results: Results
    test: Path | None
    known: Path | None
    molecules: int  # of a preview
    _shown: int | None = field(default=None, init=False)  # the round of the newest preview

    def follow(self) -> None:
        """Until the run is over and its account is written."""
        while not self.step():
            time.sleep(_LOOK_EVERY)

    def step(self) -> bool:
        """Do what there is to do now. True once there is nothing more to come."""
        self.run.look()
        if not self.run.begun:
            return False
        self.results.claim()
        if self.run.finished:
            self._conclude()
            return True
        if self.run.round is not None and self.run.round != self._shown:
            self._shown = self.run.round
            self._show(self.run.round)
        return False

    def _show(self, round: int) -> None:
        """A preview, with the sampler's own few steps whatever the settings say: it has to be cheap."""
        try:
            model = self.run.model(round)
        except FedmolError as error:  # another round will come, or the end
            log.warning("no molecules of round %d: %s", round, error.message)
            return
        settings = EvaluationSettings(samples=self.molecules)
        found = evaluate(model, None, self._known, settings, self.run.settings().seed)
        self.results.preview(round, found)
        valid, distinct = found.quality.validity, found.quality.uniqueness
        log.info("round %d: %d of %d molecules valid, %d different", round, valid.count, valid.total, distinct.count)

    def _conclude(self) -> None:
        if self.results.complete:
            log.info("the run is over, and its report is in %s", self.results.out.path)
            return
        log.info("the run is over: evaluating its model")
        self.results.conclude(self.run.settings(), self._test_graphs(), self._known)
        log.info("written: %s", self.results.out.report)

    def _test_graphs(self) -> Graphs | None:
        if self.test is None:
            return None
        return real_molecules(str(self.test), COLUMN, vocabulary_of(self.run.settings())).graphs

    @cached_property
    def _known(self) -> Collection[str]:
        if self.known is None:
            return ()
        return training_molecules(str(self.known), COLUMN, vocabulary_of(self.run.settings()), log.warning)
