"""The algorithms of a package, found by looking: each is a class of settings in a module of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Literal, get_args, get_origin

from fedmol.closed import Closed


def algorithms_in(package: str, path: Sequence[str], method: str) -> tuple[type[Closed], ...]:
    """The settings classes that have `method`, in the order of their modules' names.

    Such a class derives from `Closed`, and its field `name` is a `Literal`: the name by which settings take it.

    Raises:
        TypeError: a class with `method` keeps to neither.

    Example:
        >>> from fedmol.fl import strategies
        >>> "FedAvg" in [found.__name__ for found in algorithms_in(strategies.__name__, strategies.__path__, "step")]
        True
    """
    modules = [import_module(f"{package}.{name}") for name in sorted(module.name for module in iter_modules(path))]
    return tuple(_algorithm(found) for module in modules for found in _classes(module) if hasattr(found, method))


def names(found: Sequence[type[Closed]]) -> set[str]:
    """What the settings call them."""
    return {get_args(algorithm.model_fields["name"].annotation)[0] for algorithm in found}


def _classes(module: ModuleType) -> Iterator[type]:
    for value in vars(module).values():
        if (
            isinstance(value, type)
            and value.__module__ == module.__name__
            and not getattr(value, "_is_protocol", False)
        ):
            yield value


def _algorithm(found: type) -> type[Closed]:
    where = f"{found.__module__}.{found.__name__}"
    if not issubclass(found, Closed):
        raise TypeError(f"{where} does not derive from fedmol.closed.Closed")
    name = found.model_fields.get("name")
    if name is None or get_origin(name.annotation) is not Literal:
        raise TypeError(f'{where} has no field name with a Literal, such as `name: Literal["fedavg"]`')
    return found
