"""JSON that somebody else may have written: size, depth and names are looked at before anything is built.

    document = parse_json(files.read_bytes(path, 2**20))

What the document may say is for a closed type to decide, wherever it is used.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from fedmol import files

DEEPEST = 32  # sections within sections
LARGEST = 2**20  # bytes of a document of which nothing else is said
# A text, closed or not, as a whole, or one bracket. Possessive: no input makes it look anywhere twice.
_MARKS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
_OPENS, _CLOSES = b"[{", b"]}"


class DocumentError(ValueError):
    """What makes a document unusable."""


def check_depth(content: bytes) -> None:
    """Raises DocumentError if JSON is nested more than `DEEPEST` levels deep; sees to no other of its rules."""
    depth = 0
    for mark in _MARKS.finditer(content):
        sign = mark[0]
        if sign in _OPENS:
            depth += 1
            if depth > DEEPEST:
                raise DocumentError(f"it is nested more than {DEEPEST} levels deep")
        elif sign in _CLOSES:
            depth -= 1


def parse_json(content: bytes) -> Any:
    """What the JSON says. Bounded by its own size: about thirty bytes of memory for one of `content`.

    Raises:
        DocumentError: it is no JSON in UTF-8, nested too deeply, or says something twice.
    """
    check_depth(content)
    try:
        return json.loads(content.decode(), object_pairs_hook=_distinct)
    except DocumentError:
        raise
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"it is not JSON: {error}") from None


def read_json(path: Path, largest: int = LARGEST, follow: bool = False) -> bytes:
    """The JSON in a file, for a type's `model_validate_json`: of bounded size and depth, and nothing in it said twice.

    Raises:
        DocumentError: see `parse_json`.
        OSError: see `fedmol.files.read_bytes`.
    """
    content = files.read_bytes(path, largest, follow)
    parse_json(content)
    return content


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DocumentError(f"it says {twice[:80]!r} twice")
    return found
