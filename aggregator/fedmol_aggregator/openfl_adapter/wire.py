"""OpenFL's messages as bytes: an upload is read piece by piece as it arrives, and nothing is kept whole in memory.

OpenFL sends an upload as a stream of `DataStream` messages, whose contents in a row are one `TaskResults` message
(aggregator.proto, base.proto). protobuf's own parser wants all of it at once, so the few fields are read here, in the
ascending order in which protobuf writes them; a message in another form is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError
from openfl.protocols import aggregator_pb2, base_pb2

_LONGEST_TEXT = 256  # bytes of a name or a tag
_LONGEST_PART = 4096  # bytes of a header or of a tensor's metadata
_MOST_TAGS, _MOST_METADATA = 8, 2
_FREE_MESSAGES, _LEAST_MEAN = 64, 16 * 2**10  # messages; bytes of a message on average, since each costs time
_VARINT, _BYTES = 0, 2  # wire types


class Malformed(Exception):
    """The bytes are not the message they should be."""


@dataclass(frozen=True)
class ResultsHead:
    """What comes before the tensors of an upload. Rounds are counted from 0, as OpenFL does."""

    sender: str
    run: str
    round: int
    task: str
    data_size: int


@dataclass(frozen=True)
class TensorHead:
    """What comes before a tensor's values."""

    name: str
    round: int
    lossless: bool
    report: bool
    tags: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]  # one for each transformation, as OpenFL's codec notes them
    nbytes: int


class Pieces:
    """The contents of a stream of `DataStream` messages as one row of bytes."""

    def __init__(self, messages: Iterable[bytes]) -> None:
        self._messages, self._content, self._at = iter(messages), memoryview(b""), 0
        self._count, self._before = 0, 0  # messages, and bytes of contents before this one

    @property
    def position(self) -> int:
        """How many bytes have been taken."""
        return self._before + self._at

    def more(self) -> bool:
        """Whether any bytes are left; waits for the next message where need be."""
        while self._at == len(self._content):
            message = next(self._messages, None)
            if message is None:
                return False
            self._count += 1
            if self._count > _FREE_MESSAGES + self.position // _LEAST_MEAN:
                raise Malformed("the upload comes in too small pieces")
            self._before += self._at
            self._content, self._at = _content(message), 0
        return True

    def take(self, count: int) -> bytes:
        start, end = self._at, self._at + count
        if end > len(self._content):
            return b"".join(self.blocks(count))
        self._at = end
        return bytes(self._content[start:end])

    def blocks(self, count: int) -> Iterator[memoryview]:
        """The next `count` bytes as they arrive."""
        while count:
            self._require_more()
            piece = self._content[self._at : self._at + count]
            count -= len(piece)
            self._at += len(piece)
            yield piece

    def varint(self) -> int:
        value = 0
        for shift in range(0, 64, 7):
            self._require_more()
            byte = self._content[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise Malformed("a number is too long")

    def text(self) -> str:
        try:
            return self.part(_LONGEST_TEXT).decode()
        except UnicodeDecodeError:
            raise Malformed("a name is not text") from None

    def part(self, longest: int) -> bytes:
        """A short field with its length before it."""
        length = self.varint()
        if length > longest:
            raise Malformed(f"a field has {length} bytes, {longest} at most are expected")
        return self.take(length)

    def int32(self) -> int:
        value = self.varint() & 0xFFFFFFFF
        return value - 2**32 if value >= 2**31 else value

    def _require_more(self) -> None:
        if not self.more():
            raise Malformed("the upload ends too early")


def results_head(pieces: Pieces) -> ResultsHead:
    """The fields before the first tensor, which is left to be read; its tag is taken."""
    header, round, task, data_size, last = None, 0, "", 0, 0
    while True:
        field, kind = _tag(pieces)
        if field == 5:
            break
        if not last < field < 5 or kind != (_BYTES if field in (1, 3) else _VARINT):
            raise Malformed("the upload's fields are not those of TaskResults in their order")
        last = field
        if field == 1:
            header = parse(aggregator_pb2.MessageHeader, pieces.part(_LONGEST_PART))
        elif field == 2:
            round = pieces.int32()
        elif field == 3:
            task = pieces.text()
        else:
            data_size = pieces.int32()
    if header is None or kind != _BYTES:
        raise Malformed("the upload has no header")
    return ResultsHead(header.sender, header.federation_uuid, round, task, data_size)


def tensors(pieces: Pieces) -> Iterator[TensorHead]:
    """The tensors after `results_head`; the caller takes each one's `nbytes` bytes before it asks for the next."""
    while True:
        end = pieces.varint() + pieces.position
        head = _tensor_head(pieces, end)
        yield head
        if pieces.position != end:
            raise Malformed(f"the tensor {head.name!r} was not read as a whole")
        if not pieces.more():
            return
        if _tag(pieces) != (5, _BYTES):
            raise Malformed("something else than a tensor follows a tensor")


def _tensor_head(pieces: Pieces, end: int) -> TensorHead:
    found: dict[int, Any] = {1: "", 2: 0, 3: False, 4: False, 5: [], 6: []}
    last, nbytes = 0, 0
    while pieces.position < end:
        field, kind = _tag(pieces)
        repeated = field in (5, 6) and field == last
        if not (last < field <= 7 or repeated) or kind != (_VARINT if field in (2, 3, 4) else _BYTES):
            raise Malformed("a tensor's fields are not those of NamedTensor in their order")
        last = field
        if field == 1:
            found[1] = pieces.text()
        elif field == 2:
            found[2] = pieces.int32()
        elif field in (3, 4):
            found[field] = bool(pieces.varint())
        elif field == 5 and len(found[5]) < _MOST_TAGS:
            found[5].append(pieces.text())
        elif field == 6 and len(found[6]) < _MOST_METADATA:
            found[6].append(_shape(pieces.part(_LONGEST_PART)))
        elif field == 7:
            nbytes = pieces.varint()
            if pieces.position + nbytes != end:
                raise Malformed("a tensor's length is not that of its values")
            break
        else:
            raise Malformed("a tensor has too many tags")
    if pieces.position + nbytes != end:
        raise Malformed("a tensor ends within a field")
    return TensorHead(found[1], found[2], found[3], found[4], tuple(found[5]), tuple(found[6]), nbytes)


def _shape(content: bytes) -> tuple[int, ...]:
    metadata = parse(base_pb2.MetadataProto, content)
    if metadata.int_to_float or metadata.bool_list:
        raise Malformed("a tensor is compressed in a way that was not agreed")
    return tuple(metadata.int_list)


def _tag(pieces: Pieces) -> tuple[int, int]:
    tag = pieces.varint()
    return tag >> 3, tag & 7


def _content(message: bytes) -> memoryview:
    """The bytes that a `DataStream` message carries, without a copy."""
    view, at, content = memoryview(message), 0, memoryview(b"")
    while at < len(view):
        tag, at = _varint_at(view, at)
        value, at = _varint_at(view, at)
        if tag == (2 << 3 | _BYTES):
            if at + value > len(view):
                raise Malformed("a part of the upload is cut off")
            content, at = view[at : at + value], at + value
        elif tag != (1 << 3 | _VARINT):
            raise Malformed("the upload is not a stream of DataStream messages")
    return content


def _varint_at(view: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(view[at : at + 10]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise Malformed("a number is cut off or too long")


def parse(kind: Any, content: bytes) -> Any:
    """A whole message of protobuf class `kind`."""
    try:
        return kind.FromString(content)
    except DecodeError:
        raise Malformed(f"the bytes are no {kind.DESCRIPTOR.name}") from None


def header(sender: str, receiver: str, run: str) -> Any:
    """The header that every answer carries."""
    return aggregator_pb2.MessageHeader(sender=sender, receiver=receiver, federation_uuid=run)


def tensor_answer(head: Any, round: int, name: str, values: memoryview) -> bytes:
    """`GetAggregatedTensorResponse` with the values copied once."""
    tensor = base_pb2.NamedTensor(
        name=name,
        round_number=round,
        lossless=True,
        tags=("compressed", "model"),
        transformer_metadata=[base_pb2.MetadataProto(int_list=[len(values) // 4])],
    ).SerializeToString()
    tensor += bytes([7 << 3 | _BYTES]) + _varint(len(values))
    front = aggregator_pb2.GetAggregatedTensorResponse(header=head, round_number=round).SerializeToString()
    return b"".join((front, bytes([3 << 3 | _BYTES]), _varint(len(tensor) + len(values)), tensor, values))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))
