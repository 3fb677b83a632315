"""What has left a site, as its own log tells: equal tensors and messages are told once, with how often they left."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

_MOST = 1000  # different tensors, and different messages, that are counted


@dataclass(slots=True)
class Tensor:
    """A tensor that left the site, and how often."""

    name: str
    shape: tuple[int, ...]
    bytes: int
    times: int = 0
    last_round: int | None = None


@dataclass(slots=True)
class Messages:
    """Messages of one call that hold the same fields."""

    call: str
    holds: tuple[str, ...]
    bytes: int = 0
    times: int = 0


@dataclass(slots=True)
class OutboundTotals:
    tensors: dict[tuple[str, tuple[int, ...], int], Tensor] = field(default_factory=dict)
    messages: dict[tuple[str, tuple[str, ...]], Messages] = field(default_factory=dict)

    def add_tensor(self, name: str, shape: tuple[int, ...], bytes: int, round: int | None) -> None:
        """A tensor has left the site."""
        key = (name, shape, bytes)
        if key in self.tensors or len(self.tensors) < _MOST:
            tensor = self.tensors.setdefault(key, Tensor(name, shape, bytes))
            tensor.times, tensor.last_round = tensor.times + 1, round

    def add_messages(self, call: str, holds: Iterable[str], bytes: int, times: int) -> None:
        """Messages have left the site."""
        key = (call, tuple(holds))
        if key in self.messages or len(self.messages) < _MOST:
            sent = self.messages.setdefault(key, Messages(*key))
            sent.bytes, sent.times = sent.bytes + bytes, sent.times + times
