"""Checks, carried out one after the other: each within its time, and none on top of one that failed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from fedmol.errors import FedmolError

State = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True)
class Finding:
    """What a check found, and what to do about it where something is to be done."""

    state: State
    found: str
    cure: str = ""
    figures: dict[str, float] = field(default_factory=dict)  # what was measured, in base units
    value: Any = None  # for the checks that build on this one


def ok(found: str, value: Any = None, **figures: float) -> Finding:
    return Finding("ok", found, figures=figures, value=value)


def warning(found: str, cure: str, value: Any = None, **figures: float) -> Finding:
    return Finding("warning", found, cure, figures, value)


def failed(found: str, cure: str, **figures: float) -> Finding:
    return Finding("failed", found, cure, figures)


@dataclass(frozen=True)
class Check:
    """`do` is given the values that the checks named in `needs` have left, by their names."""

    name: str
    do: Callable[[dict[str, Any]], Finding]
    needs: tuple[str, ...] = ()
    limit: float = 30.0  # seconds
    when_slow: str = "see what this machine is waiting for, such as a hanging network drive, and try again"


@dataclass(frozen=True)
class Result:
    name: str
    finding: Finding
    seconds: float
    abandoned: bool = False  # it did not end in time, and still runs


def run_checks(checks: Iterable[Check], starting: Callable[[str], None] = lambda name: None) -> list[Result]:
    """The result of every check, in their order; `starting` hears each one's name before it is carried out."""
    results: dict[str, Result] = {}
    blame: dict[str, list[str]] = {}  # by check: the failed ones for which it has no value to hand on
    for check in checks:
        starting(check.name)
        lacking = list(dict.fromkeys(root for name in check.needs for root in blame[name]))
        if lacking:
            result = Result(check.name, Finding("skipped", f"not tried, because of: {', '.join(lacking)}"), 0.0)
        else:
            result = _carry_out(check, {name: results[name].finding.value for name in check.needs})
        results[check.name] = result
        blame[check.name] = lacking or [check.name] * (result.finding.state in ("failed", "skipped"))
    return list(results.values())


def _carry_out(check: Check, known: dict[str, Any]) -> Result:
    found: list[Finding] = []
    thread = threading.Thread(target=lambda: found.append(_attempt(check, known)), name=check.name, daemon=True)
    began = time.monotonic()
    thread.start()
    thread.join(check.limit)
    seconds = time.monotonic() - began
    if not found:
        return Result(check.name, failed(f"no result within {check.limit:.0f} s", check.when_slow), seconds, True)
    return Result(check.name, found[0], seconds)


def _attempt(check: Check, known: dict[str, Any]) -> Finding:
    try:
        return check.do(known)
    except FedmolError as error:
        return failed(error.message, error.cure)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return failed(f"{place}{error.strerror or error}", "see to it that this path or address can be used from here")
    except Exception as error:  # a table with one row of this kind helps more than none
        cure = "this is a defect of fedmol or of a library: report it with the line above"
        return failed(f"{type(error).__name__}: {error}", cure)
