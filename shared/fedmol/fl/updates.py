"""A site's update as strategies see it: read from its file block by block, and compared with its digest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from blake3 import blake3

from fedmol.fl.payload import Section, Vector

BLOCK = 2**16  # values that are in memory of each update at a time: they stay in a processor's cache
LONGEST_HEADER = 64 * 2**10  # bytes


class DamagedUpdate(Exception):
    """A stored update is not what its site sent."""

    def __init__(self, site: str, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}")
        self.site, self.path, self.what = site, path, what


@dataclass(frozen=True)
class Update:
    """One site's sections, each in a file of its own."""

    site: str
    weight: float  # those of a round sum to 1
    share: float  # those of all members sum to 1, whether or not they count in a round
    files: Mapping[str, Path]  # by section
    digests: Mapping[str, str]  # BLAKE3 of each section's bytes, by section

    def blocks(self, section: Section) -> Iterator[Vector]:
        """The section's values from its start, `BLOCK` at a time. A block is valid until the next one is taken.

        Raises:
            DamagedUpdate: before the first block when the file is missing or has another size; after the last one when
                the digest is another. Nothing made of the blocks may be used then.
        """
        path = self.files[section.name]
        try:
            with path.open("rb", buffering=0) as file:
                file.seek(_start(file, section))
                yield from self._checked(file, section)
        except (OSError, ValueError) as error:
            raise DamagedUpdate(self.site, path, str(error)) from None

    def _checked(self, file: BinaryIO, section: Section) -> Iterator[Vector]:
        hashed, buffer = blake3(), np.empty(min(BLOCK, section.length), "<f4")
        left = section.length
        while left:
            block = buffer[:left]
            view = block.view(np.uint8).data
            got = 0
            while got < len(view):
                got += file.readinto(view[got:]) or _short()  # type: ignore[attr-defined]
            hashed.update(view)
            left -= len(block)
            yield block
        if hashed.hexdigest() != self.digests[section.name]:
            raise ValueError("its digest is not that of what was received")


def _start(file: BinaryIO, section: Section) -> int:
    """Where the section's values begin. Of the file's header only the length is believed, and held to the size."""
    start = 8 + int.from_bytes(file.read(8), "little")
    if start > 8 + LONGEST_HEADER or file.seek(0, 2) != start + section.nbytes:
        raise ValueError("it has another size than what was received")
    return start


def _short() -> int:
    raise ValueError("it ends too early")


def aligned(updates: Sequence[Update], section: Section) -> Iterator[tuple[slice, list[Vector]]]:
    """The same stretch of every update at a time, with its place in the section: memory does not grow with the sites.

    The updates come in the order in which they are given. Raises DamagedUpdate, see `Update.blocks`.
    """
    start = 0
    for blocks in zip(*(update.blocks(section) for update in updates), strict=True):
        yield slice(start, start + len(blocks[0])), list(blocks)
        start += len(blocks[0])
