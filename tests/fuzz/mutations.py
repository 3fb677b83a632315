"""Damage to bytes, drawn from a random generator."""

from __future__ import annotations

import random

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
