"""Compressed files: known by content, unfolded in pieces, and never to more than molecules would."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backports import zstd

from fedmol.errors import bad_data

_FREE, _UNFOLDING = 64 << 20, 100  # bytes that any file may unfold to, and how many times its size a large one may
_PIECE = 4 << 20  # bytes
_LAYERS = 2  # such as a gzip in a zip archive
_DAMAGES = OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zstd.ZstdError, zipfile.BadZipFile

_OPENERS: dict[bytes, tuple[str, Callable[[Any], Any]]] = {
    b"\x1f\x8b": ("gzip", gzip.open),
    b"BZh": ("bzip2", bz2.open),
    b"\xfd7zXZ": ("xz", lzma.open),
    b"\x28\xb5\x2f\xfd": ("zstandard", zstd.open),
}
_ZIP = b"PK\x03\x04", b"PK\x05\x06"
_TAR, _TAR_AT = (b"ustar\0", b"ustar  \0"), 257  # of POSIX, of GNU; no text has a zero there
_FOREIGN = {
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"%PDF": "a PDF document",
    b"SQLite format 3": "an SQLite database",
    b"\x89HDF": "an HDF5 file",
    b"\x80\x04\x95": "a Python pickle",
}


def unfold(path: Path, content: bytes) -> tuple[str, bytes]:
    """The name and content of the one file that `content` is, packed or not; the name is that within an archive.

    gzip, bzip2, xz and zstandard are recognised by content, and zip archives with one file in them.

    Raises:
        FedmolError: BAD_DATA if it is damaged, of another kind, or unfolds to far more than it is.
    """
    name, most = path.name, max(_FREE, _UNFOLDING * len(content))
    for _ in range(_LAYERS):
        if content.startswith(_ZIP):
            name, content = _from_zip(path, content, most)
            continue
        for magic, (kind, open_packed) in _OPENERS.items():
            if content.startswith(magic):
                name, content = _stem(name), _read(path, kind, open_packed, io.BytesIO(content), most)
                break
    if content.startswith((*_ZIP, *_OPENERS)):
        raise bad_data(f"{path} is packed more than {_LAYERS} times over", "unpack it, and name the file within")
    if content.startswith(_TAR, _TAR_AT):
        raise bad_data(
            f"{path} is a tar archive, which fedmol does not read", "unpack it, and name the file with the molecules"
        )
    for magic, kind in _FOREIGN.items():
        if content.startswith(magic):
            raise bad_data(
                f"{path} is {kind}, which fedmol does not read", "export the molecules as CSV, SMILES or SDF"
            )
    return name, content


def _stem(name: str) -> str:
    stem, dot, last = name.rpartition(".")
    return stem if dot and last.lower() in ("gz", "bz2", "xz", "zst", "zstd") else name


def _read(path: Path, kind: str, open_packed: Callable[[Any], Any], packed: object, most: int) -> bytes:
    """What the packed file holds, in pieces, so that one made to fill the memory is noticed long before it does."""
    pieces, size = list[bytes](), 0
    try:
        with open_packed(packed) as file:
            while piece := file.read(_PIECE):
                pieces.append(piece)
                size += len(piece)
                if size > most:
                    raise bad_data(
                        f"{path} unfolds to more than {most:,} bytes, which molecules do not",
                        "look at what is in it, and unpack it first if it is right",
                    )
    except _DAMAGES as error:
        raise bad_data(
            f"{path} is a damaged {kind} file: {error}", "copy the file again from where it came from"
        ) from None
    return b"".join(pieces)


def _from_zip(path: Path, content: bytes, most: int) -> tuple[str, bytes]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        members = [entry for entry in archive.infolist() if not entry.is_dir() and not _is_litter(entry.filename)]
    except _DAMAGES as error:
        raise bad_data(
            f"{path} is a damaged zip file: {error}", "copy the file again from where it came from"
        ) from None
    names = [member.filename for member in members]
    if "[Content_Types].xml" in names or "mimetype" in names:
        raise bad_data(f"{path} is a spreadsheet (.xlsx, .ods), which fedmol does not read", "save the sheet as CSV")
    if len(members) != 1:
        listed = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        what = f"with {len(names)} files: {listed}" if names else "without a file in it"
        raise bad_data(f"{path} is a zip archive {what}", "unpack it, and name the file with the molecules")
    if members[0].flag_bits & 1:
        raise bad_data(f"{path} is a zip archive with a password", "unpack it first")
    try:
        return names[0], _read(path, "zip", archive.open, members[0], most)
    except NotImplementedError as error:
        raise bad_data(f"{path} is a zip archive of an uncommon kind: {error}", "unpack it first") from None


def _is_litter(name: str) -> bool:
    return name.startswith("__MACOSX/") or name.rpartition("/")[2] in (".DS_Store", "Thumbs.db", "desktop.ini")
