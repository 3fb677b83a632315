"""Run a site that hangs at a chosen call of a chosen function, in a phase that may not move for SECONDS.

python hang_at.py MARKER MODULE:FUNCTION N HOW SECONDS PROGRAM [ARGUMENT...]

HOW is `sleeping`, `busy`, `deaf` (in C, with Python's lock held), or `stopped` (by SIGSTOP, until somebody wakes it).
It hangs once: with MARKER there it does not.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import runpy
import signal
import sys
import time
from pathlib import Path
from typing import Any

from fedmol_collaborator.watchdog import Watchdog

_watches: list[Watchdog] = []


def _hang(how: str) -> None:
    if how == "deaf":
        ctypes.PyDLL(None).sleep(600)
    elif how == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    else:
        until = time.monotonic() + 600
        while time.monotonic() < until:
            if how == "sleeping":
                time.sleep(600)


def _arm(marker: Path, target: str, nth: int, how: str, seconds: float) -> None:
    start = Watchdog.start

    def noted(self: Watchdog) -> None:
        _watches.append(self)
        start(self)

    Watchdog.start = noted  # type: ignore[method-assign]
    module_name, _, path = target.partition(":")
    *owners, name = path.split(".")
    owner: Any = importlib.import_module(module_name)
    for part in owners:
        owner = getattr(owner, part)
    original, calls = getattr(owner, name), 0

    def hanging(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth:
            _watches[0]._bound = seconds
            marker.touch()
            _hang(how)
        return original(*arguments, **named)

    setattr(owner, name, hanging)


if __name__ == "__main__":
    marker, target, nth, how, seconds, program, *rest = sys.argv[1:]
    if not Path(marker).exists():
        _arm(Path(marker), target, int(nth), how, float(seconds))
    sys.argv = [program, *rest]
    runpy.run_module(program, run_name="__main__")
