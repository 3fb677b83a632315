"""Arguments of the library's functions, checked before their work begins."""

from __future__ import annotations

from collections.abc import Iterable

from fedmol.errors import Exit, FedmolError
from fedmol.settings import LARGEST_SEED, MOST_THREADS


def whole(name: str, value: int, least: int, most: int | None = None) -> None:
    """Refuse what is not a whole number from `least` to `most`.

    Raises:
        FedmolError: USAGE.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        bounds = f"{least:,} or more" if most is None else f"{least:,} to {most:,}"
        raise wrong(name, value, f"give a whole number, {bounds}")


def positive(name: str, value: float, below: float = float("inf")) -> None:
    """Refuse what is no number above 0 and below `below`.

    Raises:
        FedmolError: USAGE.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < below:
        raise wrong(name, value, "give a number above 0" + ("" if below == float("inf") else f" and below {below:g}"))


def one_of(name: str, value: object, choices: Iterable[str]) -> None:
    """Refuse what is none of `choices`.

    Raises:
        FedmolError: USAGE.
    """
    if value not in (listed := tuple(choices)):
        raise wrong(name, value, f"take one of {', '.join(listed)}")


def seed_and_threads(seed: int, threads: int) -> None:
    """Refuse a seed that torch does not take, and more threads than a process bears."""
    whole("seed", seed, 0, LARGEST_SEED)
    whole("threads", threads, 1, MOST_THREADS)


def wrong(name: str, value: object, cure: str) -> FedmolError:
    """To be raised for an argument that cannot be what it is."""
    return FedmolError(Exit.USAGE, f"{name} cannot be {str(value)[:80]!r}", cure)
