"""The site's own machine and molecules."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from fedmol.data.shards import open_shard
from fedmol.doctor.checks import Check, run_checks
from fedmol.fl.federation import Settings, parse
from fedmol.training.assembly import vocabulary_of
from fedmol_collaborator.doctor import machine_checks

MOLECULES = ["C", "CC", "CCO", "CCN", "C1CC1", "CC=O", "C#N", "OCCO"]


def settings(**training: Any) -> Settings:
    document: dict[str, Any] = {"sites": [{"name": "north"}], "model": {"preset": "small", "layers": 1}}
    return parse({**document, "training": {"batch_size": 4, **training}}, "test")


def _file(folder: Path, smiles: list[str]) -> Path:
    path = folder / "molecules.csv"
    path.write_text("smiles\n" + "\n".join(smiles) + "\n")
    return path


def test_a_shard_that_fits(tmp_path: Path) -> None:
    finding = machine_checks.shard(settings(), _file(tmp_path, [*MOLECULES, "C"]))
    assert finding.state == "ok"
    assert finding.found == "8 of 9 rows are usable molecules; 1 duplicates, 0 rejected"
    assert [path.name for path in tmp_path.iterdir()] == ["molecules.csv"]  # no cache, no card


def test_a_few_rows_that_do_not_fit_are_a_warning_without_the_rows(tmp_path: Path) -> None:
    finding = machine_checks.shard(settings(), _file(tmp_path, [*MOLECULES, "CCBr"]))
    assert finding.state == "warning"
    assert finding.figures == {"molecules_kept": 8.0, "rows_rejected": 1.0}
    assert "CCBr" not in finding.found
    assert "fedmol data card molecules.csv" in finding.cure


def test_a_shard_that_does_not_fit_the_vocabulary(tmp_path: Path) -> None:
    path = _file(tmp_path, ["CCBr", "CBr", "BrC1CC1", "C"])
    finding = run_checks([Check("shard", lambda _: machine_checks.shard(settings(), path))])[0].finding
    assert finding.state == "failed"
    assert "only 1 of 4 rows can be used" in finding.found
    assert "vocabulary" in finding.cure


def test_a_shard_that_is_not_there(tmp_path: Path) -> None:
    finding = run_checks([Check("shard", lambda _: machine_checks.shard(settings(), tmp_path / "none.csv"))])[0].finding
    assert (finding.state, "none.csv" in finding.found) == ("failed", True)
    assert finding.cure


def test_one_training_step(tmp_path: Path) -> None:
    ours = settings()
    vocabulary = vocabulary_of(ours)
    graphs = open_shard(_file(tmp_path, MOLECULES), "smiles", vocabulary, 0.05).training
    finding = machine_checks.training_step(ours, graphs)
    assert finding.state == "ok"
    assert finding.value == finding.figures["training_step_seconds"] > 0


def test_a_machine_without_the_gpu_that_the_settings_want(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    finding = run_checks([Check("device", lambda _: machine_checks.device(settings(device="cuda").training))])[
        0
    ].finding
    assert (finding.state, "no GPU" in finding.found) == ("failed", True)
    assert finding.cure


def test_a_gpu_that_torch_cannot_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine_checks, "_NVIDIA", tmp_path)
    finding = machine_checks.device(settings().training)
    assert (finding.state, "torch" in finding.found) == ("warning", True)
    assert "TORCH=cuda" in finding.cure


def test_more_threads_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    assert machine_checks.device(settings(threads=2).training).state == "ok"
    finding = machine_checks.device(settings(threads=3).training)
    assert (finding.state, "at most 2" in finding.cure) == ("warning", True)


@pytest.mark.parametrize(("free", "state"), [(100, "ok"), (55, "warning"), (49, "failed")])
def test_memory_against_need(free: int, state: str) -> None:
    finding = machine_checks.memory_against(free, 50)
    assert finding.state == state
    assert ("its limit" in finding.cure) == (state != "ok")


def test_memory_is_bounded_by_the_containers_limit(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    assert machine_checks.available_memory(tmp_path) == 2_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert machine_checks.available_memory(tmp_path) > 2_000_000
    assert machine_checks.available_memory(tmp_path / "none") <= psutil.virtual_memory().total
