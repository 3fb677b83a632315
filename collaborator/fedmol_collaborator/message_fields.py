"""Which fields a message holds, without a look at what they say."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

_LONGEST_NAME = 100  # bytes of a tensor's name
_VARINT, _FIXED64, _FIXED32 = 0, 1, 5  # protobuf's wire types, beside that of what has a length


def fields_of(request: Message | bytes) -> tuple[str, ...]:
    """The fields of a request that say something, dotted: of a protobuf message, or of JSON; () for other bytes."""
    if isinstance(request, Message):
        scanner = Scanner(request.DESCRIPTOR)
        scanner.feed(request.SerializeToString())
        return scanner.found
    try:
        document = json.loads(request)
    except ValueError:
        return ()
    return tuple(_json_fields(document)) if isinstance(document, dict) else ()


def _json_fields(document: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for key, value in document.items():
        if value is None:
            continue
        nested = isinstance(value, dict) and key not in ("settings", "census")
        found += [f"{key}.{inner}" for inner in _json_fields(value)] if nested else [key]
    return found


class Scanner:
    """Finds the fields of a protobuf message while its bytes pass by in pieces; no value is kept but tensors' names.

    A tensor's values are said by its name: `tensors.model`, not `tensors.data_bytes`.
    """

    def __init__(self, kind: Descriptor) -> None:
        self._open: list[tuple[Descriptor, str, float]] = [(kind, "", float("inf"))]  # with the place of its end
        self._at = self._skip = 0
        self._number, self._shift = 0, 0  # of the varint that is being read
        self._field: FieldDescriptor | None = None
        self._wire: int | None = None  # wire type of the field whose length or value comes next
        self._name: bytearray | None = None
        self._tensor = ""
        self._found: dict[str, None] = {}

    @property
    def found(self) -> tuple[str, ...]:
        """In the order in which they came."""
        return tuple(self._found)

    def feed(self, piece: bytes) -> None:
        """The next bytes of the message. Raises ValueError where they are none of the message that is expected."""
        place = 0
        while place < len(piece):
            if self._skip:
                count = min(self._skip, len(piece) - place)
                if self._name is not None:
                    self._name += piece[place : place + count]
                self._skip, self._at, place = self._skip - count, self._at + count, place + count
                if not self._skip:
                    self._value_ends()
            else:
                self._at, place = self._at + 1, place + 1
                self._byte(piece[place - 1])
            while self._at >= self._open[-1][2]:
                self._open.pop()

    def _byte(self, byte: int) -> None:
        self._number |= (byte & 0x7F) << self._shift
        self._shift += 7
        if byte & 0x80:
            return
        number, self._number, self._shift = self._number, 0, 0
        if self._wire is None:
            self._tag(number)
        elif self._wire == _VARINT:
            self._wire = None
        else:
            self._length(number)

    def _tag(self, number: int) -> None:
        kind, path, _ = self._open[-1]
        self._field, self._wire = kind.fields_by_number.get(number >> 3), number & 7
        if self._field is None:
            raise ValueError(f"{kind.full_name} has no field {number >> 3}")
        if self._field.name != "data_bytes" and self._field.message_type is None:
            self._found[path + self._field.name] = None
        if self._wire in (_FIXED32, _FIXED64):
            self._skip, self._wire = (4 if self._wire == _FIXED32 else 8), None

    def _length(self, length: int) -> None:
        assert self._field is not None
        _, path, _ = self._open[-1]
        self._wire = None
        if self._field.message_type is not None:
            self._open.append((self._field.message_type, f"{path}{self._field.name}.", self._at + length))
            return
        self._skip = length
        if self._field.name == "name" and path:
            self._name, self._tensor = bytearray(), ""
        if self._field.name == "data_bytes":
            self._found[path + self._tensor] = None

    def _value_ends(self) -> None:
        if self._name is not None:
            self._tensor, self._name = self._name[:_LONGEST_NAME].decode(errors="replace"), None
