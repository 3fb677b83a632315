"""Processes that share this one's work, wherever it was called from."""

from __future__ import annotations

import sys
from multiprocessing.process import BaseProcess
from types import ModuleType

_MAIN = "__main__"


def start(process: BaseProcess) -> None:
    """Start a spawned process whose work is a function of an importable module.

    `spawn` has the new process import the caller's main module, to find there what it may be asked to do. A script
    that calls the library at its top level would run again in every process, so no main module is shown to them.
    """
    main = sys.modules[_MAIN]
    sys.modules[_MAIN] = ModuleType(_MAIN)
    try:
        process.start()
    finally:
        sys.modules[_MAIN] = main
