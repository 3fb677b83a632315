"""What the evaluator leaves behind: a preview while the run goes on, in the end a folder that `fedmol report` reads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from fedmol import files
from fedmol.errors import Exit, FedmolError
from fedmol.evaluation import Evaluation
from fedmol.fl.federation import Settings
from fedmol.graphs import Graphs
from fedmol.report.build import EVALUATION, LOG, MODEL, evaluate_once, final_model, write_account

PREVIEW = "preview.json"
_SETTINGS = "settings.yaml"
_ACCOUNT = (EVALUATION, "metrics.csv", "report.html")  # the last things that are made


@dataclass(frozen=True)
class Results:
    """The folder `out`, for the run in the aggregator's folder `work`."""

    out: Path
    work: Path

    def claim(self) -> None:
        """Take the folder for this run, by a copy of its log. Nothing of another run is ever overwritten.

        Raises:
            FedmolError: USAGE if the folder holds another run, or is the aggregator's own.
        """
        log = self.out / LOG
        if log.exists() and not log.samefile(self.work / LOG) and _first_line(log) == _first_line(self.work / LOG):
            return
        if any((self.out / name).exists() for name in (LOG, _SETTINGS, MODEL, EVALUATION)):
            raise FedmolError(
                Exit.USAGE, f"{self.out} holds another run, or the aggregator's own files", "name an empty folder"
            )
        _copy(self.work / LOG, log)

    @property
    def complete(self) -> bool:
        return all((self.out / name).exists() for name in _ACCOUNT)

    def preview(self, round: int, evaluation: Evaluation) -> None:
        """Show what the model of a round makes."""
        document = {"round": round, **json.loads(evaluation.to_json())}
        files.write_text(self.out / PREVIEW, json.dumps(document, indent=1), files.GROUP)

    def conclude(self, settings: Settings, test: Graphs | None, known: Collection[str]) -> None:
        """Evaluate the final model and write the account; what an earlier, broken-off attempt evaluated stands.

        Raises:
            FedmolError: STATE_UNUSABLE when the aggregator's folder holds another model than its log names.
        """
        final_model(self.work)
        for name in (LOG, _SETTINGS, MODEL):
            _copy(self.work / name, self.out / name)
        evaluate_once(self.out, settings, test, known)
        write_account(self.out)


def _first_line(log: Path) -> bytes:
    with files.open_regular(log) as file:
        return file.readline()


def _copy(source: Path, target: Path) -> None:
    with files.open_regular(source) as content, files.replacing(target, files.GROUP) as file:
        shutil.copyfileobj(content, file)
