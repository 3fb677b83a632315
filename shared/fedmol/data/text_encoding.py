"""Bytes -> text, in the encodings that spreadsheets, databases and toolkits write."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from fedmol.errors import bad_data

_MARKS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
_LOOKED_AT, _NEARLY_ALL = 4096, 0.6  # bytes; share of letters
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x19\x1b-\x1f]")  # that no text has
_END = "\x1a"  # of a file in DOS


def decode(path: Path, content: bytes) -> str:
    """The text of a file: UTF-8, UTF-16 or UTF-32, with or without a mark, else an old code page.

    Code pages differ only in characters that no SMILES has.

    Raises:
        FedmolError: BAD_DATA if it is no text.
    """
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), None) or _by_zeros(content)
    no_text = bad_data(f"{path} is not a text file", "export the molecules as CSV, SMILES or SDF")
    if encoding == "utf-8" and (control := _CONTROL.search(content)):
        line = content.count(b"\n", 0, control.start()) + 1
        what = f"{path} is not a text file: line {line} has the byte 0x{control[0].hex()}"
        raise bad_data(what, no_text.cure)
    try:
        return content.decode(encoding).rstrip(_END)
    except UnicodeDecodeError:
        if encoding != "utf-8":
            raise no_text from None
        return content.decode("latin-1").rstrip(_END)


def _by_zeros(content: bytes) -> str:
    """UTF-16 without a mark shows by the zeros that are half of nearly every letter of a table of SMILES."""
    head = content[:_LOOKED_AT]
    even, odd, many = head[::2].count(0), head[1::2].count(0), len(head) / 2 * _NEARLY_ALL
    return "utf-16-le" if odd > max(4 * even, many) else "utf-16-be" if even > max(4 * odd, many) else "utf-8"
