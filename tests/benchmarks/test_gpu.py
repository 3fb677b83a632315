"""The benchmark for GPUs, as far as a processor can run it: all of its stages, and what is made of their record."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from benchmarks.gpu import __main__ as command
from benchmarks.gpu import evaluate, five_minutes, molecules, page, sampling_speed, training_speed
from benchmarks.gpu.context import Context
from benchmarks.gpu.figures import HEADLINES, figures_of
from benchmarks.gpu.parity import well_posed
from benchmarks.gpu.record import NAME, Record, entries
from benchmarks.gpu.stages import STAGES, Stage
from fedmol.errors import Exit, FedmolError
from fedmol.execution import NAMES
from fedmol.graphs import Graphs

CPU = torch.device("cpu")
# What else fedmol depends on: a machine with a GPU need not have it.
ABSENT = (
    *("click", "cryptography", "docker", "fastapi", "fcd", "grpc", "openfl", "pandas", "prometheus_client", "psutil"),
    *("pydantic", "rdkit", "rich", "scipy", "uvicorn", "yaml"),
)
BLOCKER = f"""
import sys
class Without:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, *more):
        return None if name.partition(".")[0] in {ABSENT!r} else self.finder.find_spec(name, *more)
sys.meta_path[:] = map(Without, sys.meta_path)
"""


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("molecules") / "embedded.safetensors"
    molecules.save(path, molecules.encode("embedded"))
    return path


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a Python that has torch, numpy and safetensors only."""
    folder = tmp_path_factory.mktemp("bare")
    (folder / "sitecustomize.py").write_text(BLOCKER)
    return {**os.environ, "PYTHONPATH": f"{folder}:shared", "CUDA_VISIBLE_DEVICES": ""}


def calling(out: Path, encoded: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.gpu", "--small", "--out", str(out), "--molecules", str(encoded), *more]


@pytest.fixture(scope="module")
def finished(encoded: Path, bare: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small run."""
    out = tmp_path_factory.mktemp("runs") / "small"
    done = subprocess.run(calling(out, encoded), env=bare, cwd=page.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture
def context(encoded: Path, tmp_path: Path) -> Context:
    return Context(CPU, molecules.load(encoded), Record(tmp_path), tmp_path, small=True, seconds=60.0)


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


@pytest.mark.slow
def test_the_results_say_what_was_measured_and_leave_the_docs_alone(finished: Path, encoded: Path) -> None:
    before = [path.read_bytes() for path in (page.DATA, page.PAGE, page.README)]
    assert evaluate.main([str(finished), "--molecules", str(encoded)]) == 0
    assert [path.read_bytes() for path in (page.DATA, page.PAGE, page.README)] == before
    figures = json.loads((finished / "gpu.json").read_text())
    assert set(HEADLINES) <= set(figures)
    for figure in figures.values():
        assert {"value", "low", "high", "command", "commit", "device", "driver", "torch"} <= set(figure)
        assert figure["value"] is None or figure["low"] <= figure["value"] <= figure["high"]
    text = (finished / "gpu.md").read_text()
    assert "not run" not in text
    assert "it shows that the stages work, and measures nothing" in text
    assert "| parity digress bfloat16 | gradients |" in text
    assert "**no**" not in text
    assert all(f"`{stage}`" in text for stage in STAGES)


def test_whatever_ends_a_run_the_rest_is_kept_and_can_be_read(
    encoded: Path, bare: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "cut"
    running = subprocess.Popen(calling(out, encoded), env=bare, cwd=page.ROOT, stdout=subprocess.DEVNULL)
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


@pytest.mark.parametrize("content", [None, b"", b"\x08\0\0\0\0\0\0\0{}garbage", b"CCO\n"])
def test_molecules_that_are_missing_or_damaged_are_named(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "qm9.safetensors"
    if content is not None:
        path.write_bytes(content)
    assert command.main(["--small", "--out", str(tmp_path / "run"), "--molecules", str(path)]) == Exit.BAD_DATA
    error = capsys.readouterr().err
    assert str(path) in error
    assert "make gpu-molecules" in error


Spoil = Callable[[Graphs], Graphs]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda graphs: graphs[:0], "do not fit together"),
        (lambda graphs: graphs[:5], "fewer than 64"),
        (lambda graphs: replace(graphs, atoms=graphs.atoms + 8), "atoms that the vocabulary"),
        (lambda graphs: replace(graphs, bonds=graphs.bonds + 4), "bonds that the vocabulary"),
        (lambda graphs: replace(graphs, counts=graphs.counts * 0), "molecules of no atoms"),
        (lambda graphs: replace(graphs, counts=graphs.counts + 9), "more than 9"),
        (lambda graphs: replace(graphs, counts=graphs.counts[1:]), "do not fit together"),
    ],
)
def test_molecules_that_are_none_are_refused(spoil: Spoil, reason: str, encoded: Path, tmp_path: Path) -> None:
    good = molecules.load(encoded)
    molecules.save(tmp_path / "file", replace(good, test=spoil(good.test)))
    with pytest.raises(FedmolError) as refused:
        molecules.load(tmp_path / "file")
    assert refused.value.exit is Exit.BAD_DATA
    assert reason in refused.value.message


@pytest.mark.parametrize("change", [{"vocabulary": "qm9"}, {"atom_types": 4}, {"max_atoms": 0}, {"source": "mine"}])
def test_molecules_of_another_vocabulary_are_refused(change: dict[str, Any], encoded: Path, tmp_path: Path) -> None:
    molecules.save(tmp_path / "file", replace(molecules.load(encoded), **change))
    with pytest.raises(FedmolError, match="not those of the vocabulary qm9-charged"):
        molecules.load(tmp_path / "file")


def test_molecules_come_back_as_they_were(tmp_path: Path) -> None:
    made = molecules.encode("embedded")
    molecules.save(tmp_path / "file", made)
    read = molecules.load(tmp_path / "file")
    for part in ("training", "test"):
        before, after = getattr(made, part), getattr(read, part)
        assert all(torch.equal(getattr(before, key), getattr(after, key)) for key in ("atoms", "bonds", "counts"))
    assert read.vocabulary == molecules.VOCABULARY
    assert len(read.test) == -(-(len(read.training) + len(read.test)) // 10)


def speed(batch: int, execution: str, rate: float, preset: str = "base") -> dict[str, Any]:
    spread = {"value": rate, "low": rate, "high": rate}
    return {
        "kind": "training_speed",
        "preset": preset,
        "batch": batch,
        "execution": execution,
        "molecules_per_second": spread,
        "share_of_peak": 0.01,
        "peak_memory_bytes": 10**9,
        "megaflop_per_molecule": 100.0,
    }


def test_the_five_minutes_take_neither_the_fastest_nor_the_smallest_batch() -> None:
    found = [
        *(speed(128, "graphs", 60_000), speed(1024, "eager", 90_000), speed(1024, "graphs", 250_000)),
        *(speed(8192, "graphs", 400_000), speed(1024, "graphs", 900_000, "small")),
    ]
    assert five_minutes.choice(found, "base", (1, "eager")) == (1024, "graphs")
    assert five_minutes.choice([], "base", (1024, "eager")) == (1024, "eager")
    assert five_minutes.learning_rate(128) < five_minutes.learning_rate(256) < five_minutes.learning_rate(8192)
    assert five_minutes.learning_rate(8192) == 2 * five_minutes.learning_rate(64)


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


GPU_RUN = {
    **{"kind": "run", "command": "make gpu", "commit": "abc1234", "gpu": True, "small": False, "whole": True},
    **{"device": "NVIDIA H100 80GB HBM3", "driver": "580.1", "torch": "2.11.0"},
}


@pytest.fixture
def published(tmp_path: Path) -> tuple[Path, Path, Path]:
    """README, data and page after a run on a GPU that had a part of the figures."""
    readme, data, written = tmp_path / "README.md", tmp_path / "gpu.json", tmp_path / "gpu.md"
    readme.write_text(page.README.read_text())
    rate = {"value": 31000.0, "low": 30000.0, "high": 32000.0}
    record = [
        *(GPU_RUN, speed(1024, "graphs", 250_000.0), speed(128, "eager", 9_000.0)),
        {"kind": "kernels", "preset": "base", "batch": 1024, "execution": "graphs"}
        | {"per_step": 1250.0, "kernel_milliseconds": 3.0, "shares": {"gemm": 0.5}},
        {"kind": "sampling_speed", "steps": 15, "batch": 4096, "execution": "graphs", "molecules_per_second": rate},
        {"kind": "skipped", "what": "two processes on one device, nccl", "why": "Duplicate GPU detected"},
        {"kind": "stage", "name": "parity", "seconds": 40.0, "ended": "failed with exit code 1"},
    ]
    valid = {"value": 0.993, "low": 0.991, "high": 0.995}
    figures = figures_of(record, {"speed-15": {"validity": valid}})
    page.publish(figures, readme, data, written)
    return readme, data, written


def test_readme_and_page_follow_from_the_figures(published: tuple[Path, Path, Path]) -> None:
    readme, data, written = published
    figures = page.load(data)
    assert "preset `base` trains on 250,000 molecules a second" in readme.read_text()
    assert "the model that ships samples 31,000 a second" in readme.read_text()
    assert readme.read_text() == page.readme_of(page.README.read_text(), figures)
    text = written.read_text()
    assert "Measured on NVIDIA H100 80GB HBM3, driver 580.1, torch 2.11.0." in text
    assert "| 67.50 | 66.00 | not measured |" in text
    assert "31,000 (30,000 to 32,000); steps 15, batch 4096, execution graphs" in text
    assert "1,250 kernels, which run for 3.00 ms of the step's 4.10 ms (73" in text
    assert "- skipped: two processes on one device, nccl: Duplicate GPU detected" in text
    assert "failed with exit code 1, 40" in text
    assert figures["nll_published_5_minutes"]["value"] is None
    assert figures["training_molecules_per_second"]["commit"] == "abc1234"


def test_a_speed_of_sampling_invalid_molecules_is_no_headline() -> None:
    rate = {"value": 90000.0, "low": 90000.0, "high": 90000.0}
    entry = {"kind": "sampling_speed", "steps": 15, "batch": 8, "execution": "eager", "molecules_per_second": rate}
    figures = figures_of([GPU_RUN, entry], {"speed-15": {"validity": {"value": 0.98, "low": 0.97, "high": 0.99}}})
    assert figures["sampling_molecules_per_second"]["value"] is None
    assert figures["sampling/15/8/eager/molecules_per_second"]["value"] == 90000.0


def test_checks_that_fail_are_named_and_numbers_that_are_none_are_dashes(tmp_path: Path) -> None:
    record = Record(tmp_path, "parity")
    record.add("parity", preset="base", precision="bfloat16", bound=0.1, good=False, logits=math.nan, loss=0.01)
    record.add("resume", weights=0.5, bound=1e-3, good=False)
    record.add(**speed(128, "eager", math.nan))
    found = [GPU_RUN, *entries(tmp_path)]
    figures = figures_of(found, {})
    text = page.page_of(figures)
    assert "1 of 3 checks passed" in text
    assert "| parity base bfloat16 | logits | \N{EN DASH} | 1.0e-01 | **no** |" in text
    assert "| resume | weights | 5.0e-01 | 1.0e-03 | **no** |" in text
    assert figures["training_molecules_per_second"]["value"] is None
    assert page.sentence(figures).startswith("Part of the GPU code has run on one NVIDIA H100 80GB HBM3;")
    assert five_minutes.choice(found, "base", (7, "eager")) == (7, "eager")


@pytest.mark.slow
def test_a_run_is_judged_beside_its_own_molecules_only(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "embedded.safetensors"
    made = molecules.encode("embedded")
    molecules.save(other, replace(made, test=made.test[:100]))
    assert evaluate.main([str(finished), "--molecules", str(other)]) == Exit.BAD_DATA
    assert "is not the file that the run was given" in capsys.readouterr().err


def test_the_docs_quote_the_figures_that_there_are() -> None:
    figures = page.load()
    assert set(HEADLINES) <= set(figures)
    assert page.page_of(figures) == page.PAGE.read_text(), "run: make gpu-results"
    assert page.readme_of(page.README.read_text(), figures) == page.README.read_text()
    assert page.sentence(figures) in page.README.read_text()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('[1]\n{"kind": 3}\nnothing\n' + "[" * 10**5, "is not the record of a run"),
        ('{"kind": "run", "value": NaN}', "is not the record of a run"),
        ('{"kind": "run"}', "does not say which molecules"),
        ('{"kind": "run", "molecules": 3}', "does not say which molecules"),
    ],
)
def test_a_record_that_is_none_is_refused(
    lines: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / NAME).write_text(lines)
    assert evaluate.main([str(tmp_path)]) == Exit.BAD_DATA
    assert said in capsys.readouterr().err


def test_an_entry_that_no_run_writes_is_refused() -> None:
    for entry in ({"kind": "kernels"}, {"kind": "training_speed", "preset": "base"}, {"kind": "nll", "published": 3}):
        with pytest.raises(FedmolError, match="no run writes"):
            figures_of([GPU_RUN, entry], {})


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_folder_that_cannot_be_written_is_named(
    place: str, encoded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("taken")
    assert command.main(["--small", "--out", str(tmp_path / place), "--molecules", str(encoded)]) == Exit.USAGE
    assert "cure: check that the path exists" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "taken"
