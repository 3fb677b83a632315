"""The benchmark for GPUs, as far as a processor can run it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch

from benchmarks.gpu import __main__ as command
from benchmarks.gpu import evaluate, five_minutes, page, sampling_speed, training_speed
from benchmarks.gpu.context import Context
from benchmarks.gpu.parity import well_posed
from benchmarks.gpu.record import NAME, Record, entries
from benchmarks.gpu.stages import STAGES, Stage
from fedmol.errors import Exit
from fedmol.execution import NAMES
from fedmol.graphs import Graphs


@pytest.mark.slow
def test_every_stage_runs_without_other_packages(finished: Path) -> None:
    record = entries(finished)
    assert [(one["name"], one["ended"]) for one in record if one["kind"] == "stage"] == [
        (name, "done") for name in STAGES
    ]
    assert {one["kind"] for one in record} == {
        *("run", "stage", "skipped", "parity", "posterior", "sampled_alike", "resume", "learning", "execution"),
        *(
            "ceilings",
            "training_speed",
            "kernels",
            "sampling_speed",
            "samples",
            "choice",
            "training",
            "nll",
            "processes",
        ),
    }
    assert all(one["good"] for one in record if "good" in one)
    assert {path.name for path in finished.iterdir()} == {
        *(NAME, five_minutes.FILE, five_minutes.MODEL, sampling_speed.FILE),
    }


def test_whatever_ends_a_run_the_rest_is_kept_and_can_be_read(
    encoded: Path, small_run: Callable[[Path], list[str]], bare: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "cut"
    running = subprocess.Popen(small_run(out), env=bare, cwd=page.ROOT, stdout=subprocess.DEVNULL)
    while len(entries(out)) < 4 and running.poll() is None:
        time.sleep(0.1)
    stages = psutil.Process(running.pid).children(recursive=True)
    running.kill()
    running.wait()
    assert stages
    assert not psutil.wait_procs(stages, timeout=60)[1]  # nothing goes on in the background
    with open(out / NAME, "ab") as file:
        file.write(b'{"kind": "parity", "pres')
    (out / five_minutes.FILE).write_bytes(b"half a file")
    kept = entries(out)
    assert [one["kind"] for one in kept[:4]] == ["run", "parity", "parity", "parity"]
    Record(out).add("learning", first=2.0, last=1.0, good=True)
    assert entries(out)[:-1] == kept
    assert entries(out)[-1]["last"] == 1.0
    assert evaluate.main([str(out), "--molecules", str(encoded)]) == 0
    text = (out / "gpu.md").read_text()
    assert "cut short" in text
    assert text.count("| not run |") == len(STAGES) - 1


def test_a_stage_that_hangs_is_ended_and_the_next_one_runs(
    encoded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STAGES, "parity", Stage("hang", -30.0, lambda _: None))
    given = ["--small", "--out", str(tmp_path / "out"), "--molecules", str(encoded), "--stages", "parity", "kernels"]
    assert command.main(given) == 1
    ends = {one["name"]: one["ended"] for one in entries(tmp_path / "out") if one["kind"] == "stage"}
    assert ends == {"parity": "ended after 0 s", "kernels": "done"}


def test_a_measurement_that_fails_is_named_and_the_others_go_on(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(sampling_speed, "measure", fail)
    sampling_speed.run(context)
    kinds = [one["kind"] for one in entries(context.folder)]
    assert kinds == ["failed"] * 3 + ["samples"]
    assert "stream is capturing" in entries(context.folder)[0]["error"]


def test_a_whole_run_wants_a_gpu_and_a_folder_of_its_own(
    encoded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--device", "cpu", "--out", str(tmp_path / "run")]) == Exit.USAGE
    Record(tmp_path).add("run")
    assert command.main(["--small", "--out", str(tmp_path), "--molecules", str(encoded)]) == Exit.USAGE
    assert "the record of another run" in capsys.readouterr().err


def test_a_gpu_is_first_asked_for_what_matters_most(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Context, "available_executions", lambda self: list(NAMES))
    plan = list(training_speed.plan(context))
    assert len(plan) == len(set(plan))
    assert plan[0] == ("base", context.size.batches[0], "eager")
    assert ("base", context.size.batches[0], "graphs") in plan[:5]
    assert {preset for preset, *_ in plan} == {"small", "base", "large", "digress"}
    assert {execution for *_, execution in plan} == set(NAMES)
    assert all(execution == "eager" for preset, _, execution in plan if preset == "digress")


def test_spectra_that_libraries_may_differ_in_are_left_out() -> None:
    bonds = torch.zeros(2, 5, 5, dtype=torch.long)
    for a, b in ((0, 1), (1, 2), (2, 3), (1, 4)):  # isobutane's carbons and one more
        bonds[0, a, b] = bonds[0, b, a] = 1
    for a, b in ((0, 1), (1, 2), (2, 3), (3, 0)):  # a square, two of whose eigenvalues are equal
        bonds[1, a, b] = bonds[1, b, a] = 1
    graphs = Graphs(torch.zeros(2, 5, dtype=torch.long), bonds, torch.tensor([5, 4]))
    assert 1 not in well_posed(graphs).tolist()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_folder_that_cannot_be_written_is_named(
    place: str, encoded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("taken")
    assert command.main(["--small", "--out", str(tmp_path / place), "--molecules", str(encoded)]) == Exit.USAGE
    assert "cure: check that the path exists" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "taken"
