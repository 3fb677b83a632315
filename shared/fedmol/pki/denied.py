"""The denied certificates, `denied.txt` beside the aggregator's `ca.crt`: a site's name or a serial number a line."""

from __future__ import annotations

import re
from pathlib import Path

from fedmol import files
from fedmol.errors import Exit, FedmolError
from fedmol.names import AGGREGATOR

FILE = "denied.txt"
_LARGEST = 2**20  # bytes
_ENTRY = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")  # a serial number has 40 hexadecimal digits at most


def read(path: Path) -> tuple[frozenset[str], list[int]]:
    """What the list denies, and the numbers of the lines that can be neither a name nor a serial number.

    The path may be a link, as all files of a Secret are.

    Raises:
        OSError: there is no list, or it cannot be read.
        ValueError: it is no text file of a list's size.
    """
    if not path.is_file() and path.exists():
        raise ValueError("it is not a file")
    with path.open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise ValueError(f"it is larger than {_LARGEST} bytes")
    entries, wrong = set[str](), list[int]()
    for number, line in enumerate(content.decode().splitlines(), start=1):
        if entry := normal(line.partition("#")[0]):
            if _ENTRY.fullmatch(entry):
                entries.add(entry)
            else:
                wrong.append(number)
    return frozenset(entries), wrong


def normal(entry: str) -> str:
    """An entry as it is compared: serial numbers are written with and without colons."""
    return entry.strip().lower().replace(":", "")


def denies(entries: frozenset[str], name: str | None, serial: int) -> bool:
    """Whether a certificate with this name and serial number is on the list, with leading zeros or without."""
    number = f"{serial:x}"
    return name in entries or any(entry.lstrip("0") == number for entry in entries)


def add(folder: Path, entry: str) -> bool:
    """Deny a site or a serial number from the next call on. False when it was denied already.

    Raises:
        FedmolError: USAGE when it is neither; STATE_UNUSABLE when the list is damaged, and it is left as it is then.
    """
    path, entry = folder / FILE, normal(entry)
    if entry == AGGREGATOR:
        raise FedmolError(Exit.USAGE, "the aggregator cannot deny itself", "name a site, or a site's certificate")
    if not _ENTRY.fullmatch(entry):
        cure = "give a site's name, a serial number (fedmol certs show) or a certificate's file"
        raise FedmolError(Exit.USAGE, f"{entry[:80]!r} is neither a site's name nor a serial number", cure)
    with files.one_at_a_time(folder):
        before, text = frozenset[str](), ""
        if path.exists():
            before, text = require(path), path.read_text()
        if entry in before:
            return False
        files.write_text(path, text + ("\n" if text and not text.endswith("\n") else "") + entry + "\n")
        return True


def require(path: Path) -> frozenset[str]:
    """What a list denies that has to be whole. Raises FedmolError STATE_UNUSABLE."""
    try:
        entries, wrong = read(path)
        if wrong:
            raise ValueError(f"line {wrong[0]} is neither a site's name nor a serial number")
    except (OSError, ValueError) as error:
        what = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise FedmolError(
            Exit.STATE_UNUSABLE,
            f"{path}, the list of denied certificates, cannot be used: {what}",
            "repair the list: a site's name or a certificate's serial number on each line",
        ) from None
    return entries
