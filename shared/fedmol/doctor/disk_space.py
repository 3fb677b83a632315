"""Whether a party's folder can be written to, and whether there is room on its disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from fedmol.doctor.checks import Finding, failed, ok, warning
from fedmol.fl.federation import Settings
from fedmol.training.assembly import denoiser_of
from fedmol.training.parameter_vector import manifest

_LOGS = 100 * 2**20  # bytes


def work_folder(work: Path) -> Finding:
    """Tried out with a file in it, or in the folder in which it would be made."""
    place = _existing(work)
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"fedmol doctor")
            file.flush()
    except OSError as error:
        return failed(
            f"{place} cannot be written to: {error.strerror}",
            f"make {work} writable for user {os.geteuid()}, or name another --work",
        )
    return ok("can be written to" if place == work else f"can be made in {place}")


def aggregator_disk(settings: Settings, work: Path) -> Finding:
    rounds = settings.rounds.keep_checkpoints + 2
    return disk(work, rounds * (len(settings.sites) + 1) * model_bytes(settings))


def disk(work: Path, state: int) -> Finding:
    """Room for `state` bytes and the logs."""
    need, free = state + _LOGS, shutil.disk_usage(_existing(work)).free
    found = f"{gigabytes(free)} free, at most {gigabytes(need)} needed"
    return enough("disk", free, need, 2, found, "make room there, or name another --work")


def enough(kind: str, free: int, need: int, comfort: float, found: str, cure: str) -> Finding:
    """Failed below `need` bytes, a warning below `comfort` times as many."""
    figures = {f"{kind}_free_bytes": free, f"{kind}_needed_bytes": need}
    if free < need:
        return failed(found, cure, **figures)
    return warning(found, cure, **figures) if free < comfort * need else ok(found, **figures)


def model_bytes(settings: Settings) -> int:
    return 4 * manifest(denoiser_of(settings)).size


def _existing(path: Path) -> Path:
    path = path.absolute()
    return next(each for each in (path, *path.parents) if each.exists())


def gigabytes(count: float) -> str:
    return f"{count / 1e9:.2f} GB"
