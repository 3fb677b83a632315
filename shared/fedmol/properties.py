"""The properties that a model can be asked for: what a column of numbers is called and measured in, and its scale."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

MOST_PROPERTIES = 64  # of one model
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_LONGEST_UNIT = 16  # characters
_LARGEST = 1e12  # of a mean or a scale, and one divided by it the smallest scale


@dataclass(frozen=True)
class Property:
    """A property with the standardisation under which a network sees it: (value - `mean`) / `scale`.

    Raises:
        ValueError: what is wrong with it.

    Example:
        >>> homo = Property("homo", unit="eV", mean=-6.5, scale=0.6)
        >>> round(homo.standardised(-6.2), 3)
        0.5
    """

    name: str
    unit: str  # "" for a pure number
    mean: float = 0.0  # in `unit`, as `scale`
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name[:40]!r} is no property's name: use lower-case letters, digits and _")
        if len(self.unit) > _LONGEST_UNIT or not self.unit.isprintable():
            raise ValueError(f"{self.unit[:40]!r} is no unit of {self.name}: use at most {_LONGEST_UNIT} characters")
        if not math.isfinite(self.mean) or abs(self.mean) > _LARGEST:
            raise ValueError(f"the mean of {self.name} is {self.mean}: give a number up to {_LARGEST:g}")
        if not 1 / _LARGEST <= self.scale <= _LARGEST:
            raise ValueError(f"the scale of {self.name} is {self.scale}: give a positive number up to {_LARGEST:g}")

    def standardised(self, value: float) -> float:
        """`value`, in `unit`, as a network sees it."""
        return (value - self.mean) / self.scale
