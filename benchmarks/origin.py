"""Where figures come from: the commit of the code that is measured, and the machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import torch

from benchmarks.machine import describe
from fedmol.errors import Exit, FedmolError

ROOT = Path(__file__).resolve().parents[1]
_CODE = ("shared", "aggregator", "collaborator", "benchmarks")  # a new file in these would count, too
_WRITTEN = ":(exclude)docs/results"


def commit(clean: bool) -> str:
    """The commit of the code. Raises FedmolError USAGE when it has to be clean and is not."""
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", _WRITTEN)
    unknown = _git("ls-files", "--others", "--exclude-standard", "--", *_CODE)
    if clean and (changed or unknown):
        raise FedmolError(
            Exit.USAGE,
            f"no commit stands for the figures: these files are not as they were committed\n{changed}\n{unknown}",
            "commit first, or name another folder for the results with --out",
        )
    return _git("rev-parse", "HEAD")


def changed_since(earlier: str) -> bool:
    """Whether the code is not any more what it was at that commit."""
    try:
        return commit(clean=True) != earlier
    except FedmolError:
        return True


def machine() -> str:
    described = describe(torch.device("cpu"))
    return f"{described.processor}, {described.cores} cores, {described.system}"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise FedmolError(
            Exit.USAGE, f"git {arguments[0]}: {done.stderr.strip()}", "run it in a checkout, which names its commit"
        )
    return done.stdout.rstrip()
