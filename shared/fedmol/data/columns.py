"""Which column of a table holds the SMILES."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fedmol.errors import bad_data

DEFAULT = "smiles"
_SHOWN = 20  # names in a message


def plain(name: str) -> str:
    """A column's name as it is compared: without its case, line breaks, padding, and the sign of a comment."""
    return " ".join(name.strip().removeprefix("#").split()).casefold()


def find(names: Sequence[str], column: str) -> list[int]:
    """Where the SMILES may be: the columns of that name, or, if none is called `smiles`, those with it in their name.

    Case and padding do not count where no column has the very name.
    """
    return called(names, column) or (containing(names) if plain(column) == DEFAULT else [])


def called(names: Sequence[str], column: str) -> list[int]:
    """The columns of that name."""
    exactly = [place for place, name in enumerate(names) if name == column]
    return exactly or [place for place, name in enumerate(names) if plain(name) == plain(column)]


def containing(names: Sequence[str]) -> list[int]:
    """The columns with `smiles` in their names, the canonical ones alone if there is one."""
    within = [place for place, name in enumerate(names) if DEFAULT in plain(name)]
    canonical = [place for place in within if "canonical" in plain(names[place])]
    return canonical if len(canonical) == 1 else within


def require(path: Path, names: Sequence[str], column: str) -> int:
    """The one column that `find` finds.

    Raises:
        FedmolError: BAD_DATA if there is none or more than one; the message lists all there are.
    """
    found = find(names, column)
    if len(found) == 1:
        return found[0]
    listed = ", ".join(repr(name) for name in names[:_SHOWN])
    listed += f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    if found:
        alike = ", ".join(repr(names[place]) for place in found)
        raise bad_data(
            f"{path} has more than one column that {column!r} may mean: {alike}",
            "name the one that is meant (--column on the command line, data.column in the settings); "
            "columns of the same name need other names first",
        )
    raise bad_data(
        f"{path} has no column {column!r}; its columns are {listed}",
        "name the one with the SMILES (--column on the command line, data.column in the settings), and remove lines "
        "above the header; in a file without a header it is named by its number, counted from 1",
    )
