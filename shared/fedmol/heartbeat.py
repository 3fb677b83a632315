"""The heartbeat of a program: a file that it touches as long as its own loop turns.

A health check asks by it whether the process is alive, and nothing else: that a peer is away, or slow, is no illness of
this process, and a restart would not cure it.

    python -m fedmol.heartbeat FOLDER     exit code 0 while the heart beats, 1 otherwise
"""

from __future__ import annotations

import math
import sys
import threading
import time
from pathlib import Path

FILE = "alive"
PERIOD = 1.0  # seconds between two beats
_PATIENCE = 30.0  # seconds; a machine under load is not dead


class Heart:
    """Beats into `folder`, at most once a second."""

    def __init__(self, folder: Path) -> None:
        self._path, self._next = folder / FILE, float("-inf")

    def beat(self) -> None:
        if time.monotonic() >= self._next:
            self._path.touch()
            self._next = time.monotonic() + PERIOD

    def beat_until(self, stop: threading.Event, longest: float = math.inf) -> None:
        """Do nothing else until `stop` is set, or for `longest` seconds."""
        until = time.monotonic() + longest
        self.beat()
        while time.monotonic() < until and not stop.wait(PERIOD):
            self.beat()


def age(folder: Path) -> float | None:
    """Seconds since the last beat; None where there has been none."""
    try:
        return time.time() - (folder / FILE).stat().st_mtime
    except FileNotFoundError:
        return None


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m fedmol.heartbeat FOLDER", file=sys.stderr)
        return 2
    seconds = age(Path(arguments[0]))
    print("no beat yet" if seconds is None else f"last beat {seconds:.1f} s ago")
    return int(seconds is None or seconds > _PATIENCE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
