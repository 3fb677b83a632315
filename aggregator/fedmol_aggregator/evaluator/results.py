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
from fedmol.report.build import evaluate_once, final_model, write_account
from fedmol.run_folder import RunFolder


@dataclass(frozen=True)
class Results:
    """The folder `out`, for the run in the aggregator's folder `work`."""

    out: RunFolder
    work: RunFolder

    def claim(self) -> None:
        """Take the folder for this run, by a copy of its log. Nothing of another run is ever overwritten.

        Raises:
            FedmolError: USAGE if the folder holds another run, or is the aggregator's own.
        """
        out, log = self.out, self.work.log
        if out.log.exists() and not out.log.samefile(log) and _first_line(out.log) == _first_line(log):
            return
        if any(path.exists() for path in (out.log, out.settings, out.model, out.evaluation)):
            raise FedmolError(
                Exit.USAGE, f"{out.path} holds another run, or the aggregator's own files", "name an empty folder"
            )
        _copy(log, out.log)

    @property
    def complete(self) -> bool:
        """The last things that are made are there."""
        return all(path.exists() for path in (self.out.evaluation, self.out.metrics, self.out.report))

    def preview(self, round: int, evaluation: Evaluation) -> None:
        """Show what the model of a round makes."""
        document = {"round": round, **json.loads(evaluation.to_json())}
        files.write_text(self.out.preview, json.dumps(document, indent=1), files.GROUP)

    def conclude(self, settings: Settings, test: Graphs | None, known: Collection[str]) -> None:
        """Evaluate the final model and write the account; what an earlier, broken-off attempt evaluated stands.

        Raises:
            FedmolError: STATE_UNUSABLE when the aggregator's folder holds another model than its log names.
        """
        final_model(self.work)
        for source, target in (
            (self.work.log, self.out.log),
            (self.work.settings, self.out.settings),
            (self.work.model, self.out.model),
        ):
            _copy(source, target)
        evaluate_once(self.out, settings, test, known)
        write_account(self.out)


def _first_line(log: Path) -> bytes:
    with files.open_regular(log) as file:
        return file.readline()


def _copy(source: Path, target: Path) -> None:
    with files.open_regular(source) as content, files.replacing(target, files.GROUP) as file:
        shutil.copyfileobj(content, file)
