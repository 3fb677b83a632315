"""The heartbeat of a program: a file in which it notes the time as long as its own loop turns.

A health check asks by it whether the process is alive, and nothing else: that a peer is away, or slow, is no illness of
this process, and a restart would not cure it. The time is that of the machine's monotonic clock, which is the same for
every process and which nobody can set: a beat of an earlier start of the machine, or of the future, is none.

    python -m fedmol.heartbeat FOLDER     exit code 0 while the heart beats, 1 otherwise
"""

from __future__ import annotations

import logging
import os
import stat
import sys
import time
from pathlib import Path

from fedmol.files import open_regular, open_to_write

log = logging.getLogger("fedmol.heartbeat")

FILE = "alive"
PERIOD = 1.0  # seconds between two beats
_PATIENCE = 30.0  # seconds; a machine under load is not dead
_LENGTH = 64  # bytes of a beat, so that one is written over the other without a moment of neither
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Heart:
    """Beats into `folder`, at most once a second. A beat that cannot be written is missed, and nothing else stops."""

    def __init__(self, folder: Path) -> None:
        self._path, self._next, self._missed = folder / FILE, float("-inf"), False

    def beat(self) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + PERIOD
        try:
            self._write(f"{_boot()} {now:.3f}")
        except OSError as error:
            if not self._missed:
                reason = error.strerror or error
                log.warning("%s cannot be written (%s): health checks find no sign of life", self._path, reason)
            self._missed = True
        else:
            self._missed = False

    def _write(self, beat: str) -> None:
        self._make_way()
        file = open_to_write(self._path, os.O_WRONLY | os.O_CREAT)
        try:
            os.pwrite(file, beat.ljust(_LENGTH).encode(), 0)
        finally:
            os.close(file)

    def _make_way(self) -> None:
        """Unlink what would lead the beat elsewhere, as a pipe or a link does, also a hard one."""
        try:
            about = os.lstat(self._path)
        except FileNotFoundError:
            return
        if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
            self._path.unlink(missing_ok=True)


def age(folder: Path) -> float | None:
    """Seconds since the last beat; None where there has been none since the machine was started."""
    try:
        with open_regular(folder / FILE) as file:
            boot, beat = file.read(_LENGTH).decode().split()
        since = time.monotonic() - float(beat)
    except (OSError, ValueError):
        return None
    return since if boot == _boot() and since > -PERIOD else None


def is_alive(folder: Path) -> bool:
    """Whether the heart beats of what works in `folder`."""
    seconds = age(folder)
    return seconds is not None and seconds <= _PATIENCE


def _boot() -> str:
    """What tells one start of the machine from another."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return "machine"


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m fedmol.heartbeat FOLDER", file=sys.stderr)
        return 2
    seconds = age(Path(arguments[0]))
    print("no beat yet" if seconds is None else f"last beat {seconds:.1f} s ago")
    return int(not is_alive(Path(arguments[0])))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
