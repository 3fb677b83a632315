"""Run a program that sends itself a signal at a chosen call of a chosen function, once.

python crash_at.py MARKER MODULE:FUNCTION before|after N SIGNAL PROGRAM [ARGUMENT...]
"""

from __future__ import annotations

import importlib
import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any


def _arm(marker: Path, target: str, when: str, nth: int, number: int) -> None:
    module_name, _, path = target.partition(":")
    *owners, name = path.split(".")
    owner: Any = importlib.import_module(module_name)
    for part in owners:
        owner = getattr(owner, part)
    original = getattr(owner, name)
    calls = 0

    def fatal(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth and when == "before":
            _die(marker, number)
        result = original(*arguments, **named)
        if calls == nth and when == "after":
            _die(marker, number)
        return result

    setattr(owner, name, fatal)


def _die(marker: Path, number: int) -> None:
    marker.touch()
    os.kill(os.getpid(), number)


if __name__ == "__main__":
    marker, target, when, nth, number, program, *rest = sys.argv[1:]
    if not Path(marker).exists():
        _arm(Path(marker), target, when, int(nth), signal.Signals[number])
    sys.argv = [program, *rest]
    runpy.run_module(program, run_name="__main__")
