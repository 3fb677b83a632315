"""Damage to bytes and documents, drawn from a random generator."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable, Iterator
from typing import Any

_TELLING = (0, 1, 0x7F, 0x80, 0xFF, 0x0A, 0x12, 0x2A, 0x3A)


def damaged(content: bytes, chance: random.Random) -> bytes:
    """The content with one to four mutations; it may come out as it was."""
    out = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at, length = chance.randrange(len(out) + 1), chance.choice((1, 2, 4, 8, 100, 4000))
        kind = chance.randrange(8)
        if kind == 0 and at < len(out):
            out[at] ^= 1 << chance.randrange(8)
        elif kind == 1 and at < len(out):
            out[at] = chance.choice(_TELLING)
        elif kind == 2:
            del out[at : at + length]
        elif kind == 3:
            out[at:at] = chance.randbytes(length)
        elif kind == 4:
            out[at:at] = out[at : at + length]
        elif kind == 5:
            del out[at:]
        elif kind == 6:
            out[at : at + 10] = bytes([0xFF] * chance.randint(1, 9) + [chance.randrange(128)])
        else:
            out[at : at + length] = bytes(length)
    return bytes(out)


def near_the_start(content: bytes, chance: random.Random) -> bytes:
    """Damage to the first 300 bytes, where the structure of a message is."""
    return damaged(content[:300], chance) + content[300:]


_ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**63, -(2**63), 2**70, 10**400, 0.5, 1e308, float("nan"), float("inf"),
    "", "0", "x", "\x1b[2J", "[/x]", "\u202e", "x" * 5000, [], {}, [[]], [None], {"": None}, [0] * 2000,
)  # fmt: skip


def altered(document: Any, chance: random.Random) -> Any:
    """A JSON document with one to three of its parts replaced, taken out, doubled or nested."""
    document = copy.deepcopy(document)
    for _ in range(chance.randint(1, 3)):
        places = list(_places(document))
        if not places:
            return document
        parent, key = chance.choice(places)
        kind = chance.randrange(8)
        if kind == 0:
            del parent[key]
        elif kind == 1 and isinstance(parent, dict):
            parent[f"{key}{chance.choice(('x', ' ', '.', '_'))}"] = parent[key]
        elif kind == 2:
            deep: Any = parent[key]
            for _ in range(chance.choice((1, 3, 250))):  # three times as deep is as much as json can write
                deep = [deep]
            parent[key] = deep
        elif kind == 3 and isinstance(parent[key], (int, float)) and not isinstance(parent[key], bool):
            by = chance.choice((-1, 1, 1000, 0.5))
            parent[key] = parent[key] + (by if abs(parent[key]) < 2**100 else 1)
        else:
            parent[key] = copy.deepcopy(chance.choice(_ODD))
    return document


def _places(document: Any, depth: int = 8) -> Iterator[tuple[Any, Any]]:
    """Everything in the document down to `depth`, as the container and the key or index in it."""
    if isinstance(document, dict):
        entries: Iterable[Any] = document
    else:
        entries = range(len(document[:20])) if isinstance(document, list) else ()
    for key in entries if depth else ():
        yield document, key
        yield from _places(document[key], depth - 1)
