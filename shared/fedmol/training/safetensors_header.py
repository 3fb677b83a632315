"""The header of a safetensors file, checked before any tensor of it is read.

A file is 8 bytes of length, the header in JSON, and the tensors' content in one piece.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from fedmol.documents import DocumentError, parse_json

LARGEST = 2**20  # bytes of a header
WIDTHS = {"F32": 4, "F16": 2, "BF16": 2}  # bytes of a weight

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies."""

    name: str
    dtype: str  # of `WIDTHS`
    start: int  # in bytes, from the header's end
    end: int


@dataclass(frozen=True)
class Header:
    metadata: Mapping[str, Any]
    tensors: Mapping[str, Any]  # as they are described, not checked yet
    content: int  # bytes after the header

    def entries(self, shapes: Mapping[str, Shape]) -> list[Entry]:
        """The tensors in the order in which they lie in the file, if they are those of `shapes` and nothing else is.

        Raises:
            DocumentError: naming the first that is not.
        """
        for name in sorted(shapes.keys() ^ self.tensors.keys()):
            has = "has" if name in self.tensors else "lacks"
            raise DocumentError(f"it {has} the tensor {name[:80]!r}, which the model it names {_has_not(has)}")
        found = sorted((_entry(name, self.tensors[name], shapes[name]) for name in shapes), key=lambda span: span.start)
        at = 0
        for entry in found:
            if entry.start != at:
                raise DocumentError(f"the tensor {entry.name!r} does not begin where the one before ends")
            at = entry.end
        if at != self.content:
            raise DocumentError(f"its tensors take {at:,} bytes, and it has {self.content:,} for them")
        return found


def read_header(file: BinaryIO, size: int) -> Header:
    """The header of the file, which has `size` bytes. `file` stands at the first tensor afterwards.

    Raises:
        DocumentError: it is not a safetensors file, or its header is larger than `LARGEST`.
    """
    front = file.read(8)
    length = int.from_bytes(front, "little")
    if len(front) < 8 or not 2 <= length <= size - 8:
        raise DocumentError("it is not a safetensors file")
    if length > LARGEST:
        raise DocumentError(f"its header has {length:,} bytes, and {LARGEST:,} are the most that is read")
    document = parse_json(file.read(length))
    if not isinstance(document, dict) or not isinstance(document.get("__metadata__"), dict):
        raise DocumentError("its header says nothing of the model")
    return Header(document.pop("__metadata__"), document, size - 8 - length)


def _has_not(has: str) -> str:
    return "does not have" if has == "has" else "has"


def _entry(name: str, said: Any, shape: Shape) -> Entry:
    if not isinstance(said, dict) or said.keys() != {"dtype", "shape", "data_offsets"}:
        raise DocumentError(f"the tensor {name!r} is not described by dtype, shape and data_offsets")
    dtype, offsets = said["dtype"], said["data_offsets"]
    if not isinstance(dtype, str) or dtype not in WIDTHS:
        raise DocumentError(f"the tensor {name!r} is of another type than {', '.join(WIDTHS)}")
    if said["shape"] != list(shape):
        raise DocumentError(f"the tensor {name!r} has another shape than {list(shape)}")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(type(offset) is int for offset in offsets):
        raise DocumentError(f"the tensor {name!r} does not say where it lies")
    start, end = offsets
    count = 1
    for length in shape:
        count *= length
    if start < 0 or end - start != count * WIDTHS[dtype]:
        raise DocumentError(f"the tensor {name!r} takes another number of bytes than its shape does")
    return Entry(name, dtype, start, end)
