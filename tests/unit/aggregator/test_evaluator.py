"""The evaluator over an aggregator's folder made by hand."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedmol.errors import Exit, FedmolError
from fedmol.evaluation import Evaluation, evaluate
from fedmol.report.run_record import read_record
from fedmol.run_folder import RunFolder
from fedmol.runtime import call
from fedmol.settings import EvaluationSettings
from fedmol.telemetry.events.run_events import RunStopped
from fedmol.training.assembly import model_of, save_final_model
from fedmol_aggregator.evaluator.__main__ import command
from fedmol_aggregator.evaluator.following import Evaluator
from fedmol_aggregator.evaluator.results import Results
from fedmol_aggregator.evaluator.watched_run import Run
from tests.support.aggregator_folder import SMILES, State

MOLECULES = 6
PATIENCE = 60.0  # seconds for a process


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "results"


def _evaluator(state: State, out: Path, test: Path | None = None, known: Path | None = None) -> Evaluator:
    return Evaluator(Run(state.work), Results(RunFolder(out), RunFolder(state.work)), test, known, MOLECULES)


def _preview(out: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((out / "preview.json").read_text())
    return document


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """What is there, and when it was made."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def _file(path: Path, smiles: list[str]) -> Path:
    path.write_text("\n".join(["smiles", *smiles]) + "\n")
    return path


def test_before_the_run_there_is_nothing_to_do(tmp_path: Path, out: Path) -> None:
    work = tmp_path / "not there yet"
    assert not Evaluator(Run(work), Results(RunFolder(out), RunFolder(work)), None, None, MOLECULES).step()
    assert not out.exists()


def test_molecules_come_from_the_newest_round_s_model(state: State, out: Path) -> None:
    state.finish(1, 2, 3)
    evaluator = _evaluator(state, out)
    assert not evaluator.step()
    model = model_of(state.settings, state.agreement, state.weights)
    expected = evaluate(model, None, set(), EvaluationSettings(samples=MOLECULES), state.settings.seed)
    shown = _preview(out)
    assert shown.pop("round") == 3
    assert Evaluation.from_json(json.dumps(shown)).examples == expected.examples
    assert Evaluation.from_json(json.dumps(shown)).quality == expected.quality


def test_a_round_is_shown_once_and_the_next_one_when_it_is_there(state: State, out: Path) -> None:
    evaluator = _evaluator(state.finish(1), out)
    evaluator.step()
    before = _files(out)
    evaluator.step()
    assert _files(out) == before
    state.finish(2)
    evaluator.step()
    assert _preview(out)["round"] == 2


def test_novelty_is_counted_against_the_known_molecules(state: State, out: Path, tmp_path: Path) -> None:
    _evaluator(state.finish(1), out).step()
    made = [one["smiles"] for one in _preview(out)["examples"]]
    assert made
    _evaluator(state, out, known=_file(tmp_path / "known.csv", made)).step()
    assert _preview(out)["known"] == len(made)
    assert not any(one["novel"] for one in _preview(out)["examples"])


def test_a_round_whose_model_has_been_removed_is_passed_over(state: State, out: Path) -> None:
    state.finish(1)
    (state.work / "rounds" / "round-0001.safetensors").unlink()
    evaluator = _evaluator(state, out)
    assert not evaluator.step()
    assert not (out / "preview.json").exists()
    state.finish(2)
    evaluator.step()
    assert _preview(out)["round"] == 2


def test_a_run_that_was_stopped_is_waited_for(state: State, out: Path) -> None:
    state.finish(1).log.write(RunStopped(reason="terminated", detail="asked to"))
    evaluator = _evaluator(state, out)
    assert not evaluator.step()
    state.finish(2, 3)
    assert not evaluator.step()
    state.end()
    assert evaluator.step()


def test_the_end_is_only_there_with_the_model(state: State, out: Path) -> None:
    state.finish(1, 2, 3).end()
    model = state.work / "model.safetensors"
    model.rename(state.work / "later")
    evaluator = _evaluator(state, out)
    assert not evaluator.step()
    (state.work / "later").rename(model)
    assert evaluator.step()


def test_a_finished_run_gives_a_folder_that_a_report_is_made_of(state: State, out: Path, tmp_path: Path) -> None:
    state.finish(1, 2, 3).end()
    test, known = _file(tmp_path / "test.csv", SMILES[:5]), _file(tmp_path / "known.csv", SMILES[5:])
    assert _evaluator(state, out, test, known).step()
    record = read_record(out)
    assert record.evaluation is not None
    assert (record.evaluation.samples, record.evaluation.test, record.evaluation.known) == (8, 5, 3)
    assert record.evaluation.likelihood is not None
    assert [one.number for one in record.rounds] == [1, 2, 3]
    assert (out / "model.safetensors").read_bytes() == (state.work / "model.safetensors").read_bytes()
    assert (out / "events.jsonl").read_bytes() == state.log.path.read_bytes()
    assert len((out / "samples.smi").read_text().splitlines()) == record.evaluation.quality.validity.count
    assert "3 of 3 rounds finished" in (out / "report.html").read_text()
    assert (out / "metrics.csv").read_text().startswith("round,site,metric,value\n")


def test_another_run_s_model_is_not_taken_for_this_one_s(state: State, out: Path) -> None:
    state.finish(1, 2, 3).end()
    model = state.work / "model.safetensors"
    save_final_model(model, state.settings, state.agreement, state.weights * np.float32(2), 3)
    with pytest.raises(FedmolError, match="is not the model that") as refused:
        _evaluator(state, out).step()
    assert refused.value.exit is Exit.STATE_UNUSABLE
    assert not (out / "model.safetensors").exists()
    assert not (out / "report.html").exists()


def test_without_test_molecules_there_is_no_nll(state: State, out: Path) -> None:
    _evaluator(state.finish(1, 2, 3).end(), out).step()
    record = read_record(out)
    assert record.evaluation is not None
    assert record.evaluation.likelihood is None
    assert record.evaluation.distances == ()


def test_started_again_after_the_end_it_does_nothing_twice(state: State, out: Path) -> None:
    state.finish(1, 2, 3).end()
    _evaluator(state, out).step()
    before = _files(out)
    assert _evaluator(state, out).step()
    assert _files(out) == before


def test_broken_off_in_the_end_it_goes_on_there(state: State, out: Path) -> None:
    state.finish(1, 2, 3).end()
    _evaluator(state, out).step()
    (out / "report.html").unlink()
    evaluation = _files(out)["evaluation.json"]
    assert _evaluator(state, out).step()
    assert (out / "report.html").exists()
    assert _files(out)["evaluation.json"] == evaluation


def test_the_aggregator_s_folder_is_only_read(state: State, out: Path) -> None:
    evaluator = _evaluator(state.finish(1), out)
    before = _files(state.work)
    evaluator.step()
    assert _files(state.work) == before
    state.finish(2, 3).end()
    before = _files(state.work)
    evaluator.step()
    assert _files(state.work) == before


@pytest.mark.parametrize("name", ["events.jsonl", "settings.yaml", "model.safetensors", "evaluation.json"])
def test_the_results_of_another_run_are_left_alone(state: State, out: Path, name: str) -> None:
    out.mkdir()
    (out / name).write_text("of another run\n")
    with pytest.raises(FedmolError) as refused:
        _evaluator(state.finish(1), out).step()
    assert refused.value.exit == Exit.USAGE
    assert _files(out).keys() == {name}


def test_the_aggregator_s_own_folder_is_no_place_for_results(state: State) -> None:
    with pytest.raises(FedmolError) as refused:
        _evaluator(state.finish(1), state.work).step()
    assert refused.value.exit == Exit.USAGE


def test_a_damaged_log_is_said(state: State, out: Path) -> None:
    with state.log.path.open("ab") as file:
        file.write(b"no event\n")
    with pytest.raises(FedmolError) as refused:
        _evaluator(state, out).step()
    assert refused.value.exit == Exit.STATE_UNUSABLE


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize("option", ["--test", "--known"])
def test_a_file_that_is_named_has_to_be_there(state: State, out: Path, option: str) -> None:
    arguments = ["--work", str(state.work), "--out", str(out), option, str(state.work / "nowhere.csv")]
    assert call(command, arguments, "fedmol-evaluator") == Exit.BAD_DATA


@pytest.fixture
def undisturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command would make the whole test run a nice one, and stoppable."""
    monkeypatch.setattr("os.nice", lambda _: 0)
    monkeypatch.setattr("signal.signal", lambda *_: None)


@contextmanager
def _started(state: State, out: Path, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """The program, which is killed with the block if it has not ended."""
    arguments = ["--work", str(state.work), "--out", str(out), *more]
    command = [sys.executable, "-m", "fedmol_aggregator.evaluator", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def _wait_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_asked_to_stop_it_stops_at_once_and_leaves_nothing_half_made(state: State, out: Path) -> None:
    with _started(state.finish(1), out, "--molecules-per-round", "1000000") as process:
        _wait_for((out / "events.jsonl").exists)  # now it samples, for an hour
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE) == Exit.TERMINATED
    assert _files(out).keys() == {"events.jsonl"}


def test_when_the_run_is_over_it_can_stay_until_it_is_asked_to_stop(state: State, out: Path) -> None:
    with _started(state.finish(1, 2, 3).end(), out, "--stay") as process:
        assert process.stderr is not None
        assert any("waiting to be stopped" in line.decode() for line in process.stderr)
        assert (out / "report.html").exists()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE) == Exit.DONE
