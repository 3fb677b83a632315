"""The run that is over for this site, remembered in its working folder: nobody would answer it any more."""

from __future__ import annotations

from pathlib import Path

from fedmol import files

_FILE = "finished"  # holds the run's id


def is_over(work: Path, run: str) -> bool:
    """Whether the site has been told that the run is finished."""
    path = work / _FILE
    return path.exists() and path.read_bytes() == run.encode()


def remember(work: Path, run: str) -> None:
    files.write_text(work / _FILE, run)
