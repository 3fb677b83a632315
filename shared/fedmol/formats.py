"""Numbers as report and console write them; what is not there, or not a number, is a dash."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime

NONE = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"
_THIN = "\N{NARROW NO-BREAK SPACE}"
_LARGE = 1e15  # from here on numbers are written with an exponent
_NBSP = "\N{NO-BREAK SPACE}"


def _absent(value: float | None) -> bool:
    return value is None or math.isnan(value)


def fixed(value: float | None, digits: int = 2) -> str:
    """1,234.50"""
    if value is None or _absent(value):
        return NONE
    text = f"{value:,.{digits}f}" if abs(value) < _LARGE or math.isinf(value) else f"{value:.3g}"
    return text.replace("-", _MINUS).replace("inf", "\N{INFINITY}")


def signed(value: float | None, digits: int = 2) -> str:
    """+0.42; what rounds to nothing has no sign."""
    text = fixed(value, digits)
    return f"+{text}" if value is not None and value > 0 and float(text.replace(",", "") or 0) else text


def count(value: float | None) -> str:
    """1,234"""
    return fixed(value, 0)


def percent(share: float | None, digits: int = 1) -> str:
    """A share as 95.6 %; what is there but would round to nothing as <0.1 %."""
    if share is None or _absent(share):
        return NONE
    least = 10.0**-digits
    text = f"<{least:.{digits}f}" if 0 < 100 * share < least / 2 else fixed(100 * share, digits)
    return f"{text}{_THIN}%"


def interval(ends: tuple[float, float], digits: int = 1) -> str:
    """Two shares as 93.2 - 97.1 %, with an en dash."""
    low, high = (fixed(100 * end, digits) for end in ends)
    return f"{low}\N{EN DASH}{high}{_THIN}%"


def size(count: float | None) -> str:
    """Bytes in decimal units."""
    if count is None:
        return NONE
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.{0 if unit == 'B' else 2}f}{_NBSP}{unit}"
        count /= 1000
    return f"{count:.2f}{_NBSP}TB"


def duration(seconds: float | None) -> str:
    """12 s, 4 min 05 s, 2 h 03 min."""
    if seconds is None or _absent(seconds):
        return NONE
    if seconds < 60:
        return f"{seconds:.0f}{_NBSP}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours}{_NBSP}h {minutes_left:02d}{_NBSP}min" if hours else f"{minutes}{_NBSP}min {rest:02d}{_NBSP}s"


def clock(time: float | None) -> str:
    """16:04:05, in UTC; of seconds since 1970."""
    return NONE if time is None else f"{datetime.fromtimestamp(time, UTC):%H:%M:%S}"


def date(time: datetime | None) -> str:
    """23 November 2025, 16:04 UTC"""
    return NONE if time is None else f"{time.day} {time:%B %Y, %H:%M} UTC"


def names(listed: list[str]) -> str:
    """a, b and c"""
    if len(listed) < 2:
        return "".join(listed)
    return f"{', '.join(listed[:-1])} and {listed[-1]}"


def number(value: int, singular: str, plural: str | None = None) -> str:
    """1 site, 2 sites"""
    return f"{value:,} {singular if value == 1 else plural or singular + 's'}"


def misses(rounds: Mapping[str, int]) -> str:
    """north missed 1 round and west missed 12 rounds"""
    return names([f"{site} missed {number(count, 'round')}" for site, count in rounds.items()])


def ranges(numbers: list[int]) -> str:
    """2, 4-6, with en dashes, from sorted numbers."""
    spans: list[list[int]] = []
    for this in numbers:
        if spans and this == spans[-1][1] + 1:
            spans[-1][1] = this
        else:
            spans.append([this, this])
    return ", ".join(str(a) if a == b else f"{a}\N{EN DASH}{b}" for a, b in spans)
