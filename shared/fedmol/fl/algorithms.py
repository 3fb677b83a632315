"""The algorithms of a package, found by looking: each is a class of settings in a module of its own."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import get_args

from fedmol.closed import Closed


def algorithms_in(package: str, path: Sequence[str], method: str) -> tuple[type[Closed], ...]:
    """The settings classes that have `method`, in the order of their modules' names.

    Example:
        >>> from fedmol.fl import strategies
        >>> [found.__name__ for found in algorithms_in(strategies.__name__, strategies.__path__, "step")]
        ['FedAdam', 'FedAvg', 'Scaffold']
    """
    modules = [import_module(f"{package}.{name}") for name in sorted(module.name for module in iter_modules(path))]
    return tuple(
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Closed)
        and value.__module__ == module.__name__
        and hasattr(value, method)
    )


def names(found: Sequence[type[Closed]]) -> set[str]:
    """What the settings call them."""
    return {get_args(algorithm.model_fields["name"].annotation)[0] for algorithm in found}
