"""What becomes of a finished run in its folder: the model is evaluated, once, and the account of the run is written."""

from __future__ import annotations

from collections.abc import Collection

from fedmol import files
from fedmol.errors import Exit, FedmolError
from fedmol.evaluation import Evaluation, evaluate, read_evaluation
from fedmol.evaluation.resemblance import Progress
from fedmol.fl.federation import Settings
from fedmol.graphs import Graphs
from fedmol.report.metrics_csv import write_metrics
from fedmol.report.pages import write_report
from fedmol.run_folder import RunFolder
from fedmol.telemetry import queries
from fedmol.telemetry.events.run_events import RunFinished
from fedmol.training.model_file import TrainedModel, load_model


def evaluate_once(
    folder: RunFolder,
    settings: Settings,
    test: Graphs | None,
    known: Collection[str],
    on_progress: Progress | None = None,
) -> Evaluation:
    """The evaluation of the model in `folder`, whose result and samples are written beside it.

    One that is there already, from before the run was broken off, stands. `test` and `known` as for `evaluate`.

    Raises:
        FedmolError: see `final_model`.
    """
    model = final_model(folder)
    if folder.evaluation.exists():
        return read_evaluation(folder.evaluation)
    result = evaluate(model, test, known, settings.evaluation, settings.seed, on_progress, folder.samples)
    files.write_text(folder.evaluation, result.to_json(), files.GROUP)
    return result


def final_model(folder: RunFolder) -> TrainedModel:
    """The model in a finished run's folder.

    Raises:
        FedmolError: STATE_UNUSABLE when it is not the one that the folder's event log, if there is one, names.
    """
    path, log = folder.model, folder.log
    model = load_model(path)
    finished = queries.last(log, RunFinished) if log.exists() else None
    if finished and model.meta.get("digest") != finished.body.model_digest:
        raise FedmolError(
            Exit.STATE_UNUSABLE,
            f"{path} is not the model that {log} names",
            "take the file away, and start the aggregator again as before: it writes the model again",
        )
    return model


def write_account(folder: RunFolder) -> None:
    """metrics.csv and report.html of a run folder.

    Raises:
        FedmolError: see `fedmol.report.run_record.read_record`.
    """
    write_metrics(folder.path)
    write_report(folder.path)
