"""A run that is begun, taken up again, finished, and served once more, without a network."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from fedmol.errors import Exit, FedmolError
from fedmol.fl.checkpoints import Checkpoints
from fedmol.fl.federation import parse
from fedmol.fl.payload import MODEL
from fedmol.fl.tasks import LOSS, NEGATIVE_NLL, SECONDS, TRAIN, VALIDATE
from fedmol.pki import certificates
from fedmol.pki.certificates import CertificateFiles
from fedmol.run_folder import RunFolder
from fedmol.telemetry.events.run_events import RunFinished, RunStarted
from fedmol.telemetry.log import Event, EventLog
from fedmol.telemetry.queries import Kind, logged
from fedmol.training.model_file import load_model
from fedmol_aggregator.service import Service
from tests.support.aggregator_folder import State

SETTINGS = parse(
    {"sites": [{"name": "north"}], "model": {"layers": 1}, "training": {"rounds": 2, "local_steps": 4}}, "service"
)


class Run:
    """An aggregator's folder; `start` builds the service on it, as each start of the program does."""

    def __init__(self, folder: Path) -> None:
        self.work = folder / "work"
        certificates.make_ca(folder / "ca", "trial", timedelta(days=9))
        certificates.issue_aggregator(folder / "ca", folder / "certs", ["localhost"], timedelta(days=9))
        self.certificates = CertificateFiles.in_folder(folder / "certs")

    def start(self) -> Service:
        self.events = EventLog(self.work / "events.jsonl", run="r", site="aggregator")
        service = Service(SETTINGS, "r", self.certificates, RunFolder(self.work), self.events)
        service.enrollment.agreement = State(self.work.parent / "other").agreement
        return service

    def said(self, kind: type[Kind]) -> list[Event[Kind]]:
        return list(logged(self.events.path, kind))


def _play(service: Service) -> None:
    """The site reports in the open round, and the round closes."""
    engine = service.engine
    with engine.receiving("north", engine.round, VALIDATE.name) as reception:
        assert reception is not None
        reception.metric(NEGATIVE_NLL, -80.0)
        reception.metric(SECONDS, 1.0)
    with engine.receiving("north", engine.round, TRAIN.name) as reception:
        assert reception is not None
        reception.metric(LOSS, 2.0)
        reception.metric(SECONDS, 1.0)
        moved = (engine.sections[MODEL] + np.float32(1e-4)).astype(np.float32)
        reception.section(MODEL).write(memoryview(moved.tobytes()))
    assert engine.tick()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


@pytest.fixture
def finished(run: Run) -> Run:
    service = run.start()
    for _ in range(SETTINGS.training.rounds):
        _play(service)
    service.finish()
    return run


def test_a_run_is_announced_with_what_it_is_bound_to_and_later_starts_without(run: Run) -> None:
    run.start()
    service = run.start()
    first, second = run.said(RunStarted)
    assert first.body.sites == ["north"]
    assert first.body.model_bytes == 4 * first.body.parameters == 4 * service.layout.size
    assert first.body.manifest["training.local_steps"] == 4
    assert not second.body.manifest


def test_a_restart_goes_on_with_the_open_round_and_its_model(run: Run) -> None:
    service = run.start()
    _play(service)
    model = service.engine.sections[MODEL].tobytes()
    again = run.start()
    assert again.engine.round == 2
    assert again.engine.sections[MODEL].tobytes() == model


def test_a_finished_run_has_its_outcome_its_model_and_no_uploads(finished: Run) -> None:
    (end,) = finished.said(RunFinished)
    assert (end.body.outcome, end.body.rounds, end.body.missing) == ("complete", 2, [])
    model = load_model(finished.work / RunFolder.model.name)
    assert model.meta["digest"] == end.body.model_digest
    assert not (finished.work / "uploads").exists()


def test_a_finished_run_is_finished_once(finished: Run) -> None:
    before = (finished.work / RunFolder.model.name).stat().st_mtime_ns
    service = finished.start()
    assert service.engine.finished
    service.finish()
    assert len(finished.said(RunFinished)) == 1
    assert len(finished.said(RunStarted)) == 1
    assert (finished.work / RunFolder.model.name).stat().st_mtime_ns == before


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"damaged")], ids=["missing", "damaged"])
def test_a_final_model_that_is_gone_is_made_again(finished: Run, damage: object) -> None:
    assert callable(damage)
    path = finished.work / RunFolder.model.name
    before = path.read_bytes()
    damage(path)
    service = finished.start()
    service.finish()
    assert path.read_bytes() == before
    assert len(finished.said(RunFinished)) == 1


def test_the_rounds_are_not_needed_any_more_where_the_model_is(finished: Run) -> None:
    for path in (finished.work / "rounds").iterdir():
        path.unlink()
    service = finished.start()
    digest = finished.said(RunFinished)[0].body.model_digest
    assert (service.engine.finished, service.engine.model_digest) == (True, digest)


def test_state_without_the_log_that_tells_of_it_is_refused(run: Run) -> None:
    service = run.start()
    _play(service)
    (run.work / "events.jsonl").unlink()
    with pytest.raises(FedmolError, match="does not know of the run") as refused:
        run.start()
    assert refused.value.exit is Exit.STATE_UNUSABLE
    assert list(Checkpoints(run.work / "rounds", 3).files.rounds()) == [1]
