from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.gpu import molecules, page
from benchmarks.gpu.context import Context
from benchmarks.gpu.record import Record

CPU = torch.device("cpu")
PRESENT = ("torch", "numpy", "safetensors", "blake3")  # on a machine with a GPU, with whatever these need


def _with_what_they_need(names: Iterable[str]) -> set[str]:
    """The distributions of these names, and those that they require here."""
    found: set[str] = set()
    waiting = [*names]
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name not in found:
            found.add(name)
            wanted = map(Requirement, metadata.requires(name) or [])
            waiting += [one.name for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


def _absent() -> list[str]:
    """Every other module that is installed here, but this repository's and what setuptools brings along."""
    present = _with_what_they_need(PRESENT)
    owners = {module: {*map(canonicalize_name, of)} for module, of in metadata.packages_distributions().items()}
    present |= {name for of in owners.values() for name in of if name.startswith("fedmol")}
    own = {Path(file).parts[2] for file in metadata.files("setuptools") or [] if "_vendor" in file.parts[1:-1]}
    return sorted(module for module, of in owners.items() if not of & present and module not in own)


_BLOCKER = """
import sys
class Without:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, *more):
        return None if name.partition(".")[0] in ABSENT else self.finder.find_spec(name, *more)
sys.meta_path[:] = map(Without, sys.meta_path)
"""


@pytest.fixture(scope="session")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("molecules") / "embedded.safetensors"
    molecules.save(path, molecules.encode("embedded"))
    return path


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a Python that has nothing but what a machine with a GPU needs."""
    folder = tmp_path_factory.mktemp("bare")
    (folder / "sitecustomize.py").write_text(f"ABSENT = {_absent()!r}{_BLOCKER}")
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
