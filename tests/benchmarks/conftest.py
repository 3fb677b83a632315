from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import molecules, page
from benchmarks.gpu.context import Context
from benchmarks.gpu.record import Record

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


@pytest.fixture(scope="session")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("molecules") / "embedded.safetensors"
    molecules.save(path, molecules.encode("embedded"))
    return path


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a Python that has torch, numpy and safetensors only."""
    folder = tmp_path_factory.mktemp("bare")
    (folder / "sitecustomize.py").write_text(BLOCKER)
    return {**os.environ, "PYTHONPATH": f"{folder}:shared", "CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture(scope="session")
def small_run(encoded: Path) -> Callable[[Path], list[str]]:
    """The command of a small run into a folder."""

    def calling(out: Path) -> list[str]:
        return [sys.executable, "-m", "benchmarks.gpu", "--small", "--out", str(out), "--molecules", str(encoded)]

    return calling


@pytest.fixture(scope="session")
def finished(
    small_run: Callable[[Path], list[str]], bare: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a small run."""
    out = tmp_path_factory.mktemp("runs") / "small"
    done = subprocess.run(small_run(out), env=bare, cwd=page.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture
def context(encoded: Path, tmp_path: Path) -> Context:
    return Context(CPU, molecules.load(encoded), Record(tmp_path), tmp_path, small=True, seconds=60.0)
