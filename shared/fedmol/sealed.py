"""Arrays and JSON in one safetensors file that carries the BLAKE3 digest of its own content.

The digest is the first entry of the file's header and is taken over the whole file with zeros in its place. A file that
was damaged, cut off or changed is found by `load`, and never taken for what it was. Any reader of safetensors reads the
file.

    save(path, {"model": np.zeros(3, np.float32)}, {"round": 7})
    arrays, meta = load(path, largest=2**20)

Arrays that memory should not hold come from `mapped`, as tensors whose pages are read from the file when they are used.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from fedmol.documents import check_depth, parse_json
from fedmol.errors import Exit, FedmolError
from fedmol.files import NO_FILE, open_regular, replacing

if TYPE_CHECKING:
    from torch import Tensor

META = "fedmol"

_DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}
_START, _NO_DIGEST = b'{"__metadata__": {"blake3": "', b"0" * 64
_LARGEST_HEADER = 8 * 2**20  # bytes
_PIECE = 2**22  # bytes that are read at a time
_NO_FILE = FileNotFoundError, NotADirectoryError, IsADirectoryError


def save(
    path: Path,
    arrays: Mapping[str, NDArray[Any]],
    meta: Mapping[str, Any],
    mode: int = 0o600,
    over: Path | None = None,
) -> None:
    """Write `arrays` and `meta` (anything JSON can hold) to `path`, whole or not at all, and force them to the disk.

    `over` is a file beside it to write over, see `fedmol.files.replacing`.
    """
    arrays = {name: arrays[name] for name in sorted(arrays, key=lambda key: (-arrays[key].itemsize, key))}  # aligned
    contents = {name: np.ascontiguousarray(array).reshape(-1).view(np.uint8).data for name, array in arrays.items()}
    header = _header(arrays, meta)
    hashed = blake3(header)
    for content in contents.values():
        hashed.update(content)
    place = 8 + len(_START)
    with replacing(path, mode, over) as file:
        file.write(header[:place] + hashed.hexdigest().encode() + header[place + len(_NO_DIGEST) :])
        for content in contents.values():
            file.write(content)


def load(path: Path, largest: int) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The arrays and the JSON that `save` wrote; a file of more than `largest` bytes is not read.

    Raises:
        FedmolError: STATE_UNUSABLE when the file is missing, too large, damaged, or not a sealed one.
        OSError: it may not, or cannot, be read now, which says nothing of its content.
    """
    return _open(path, largest, "np")


def mapped(path: Path, largest: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The same as tensors on the file itself: the digest is taken in pieces, and no array is read before it is used.

    Pages that are written to are this process's own copies. The file must be replaced, as `save` does it, and never
    written to while a tensor of it is in use. Errors as of `load`.
    """
    return _open(path, largest, "pt")


def _open(path: Path, largest: int, library: Literal["np", "pt"]) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        with _regular(path, largest) as checked:
            _check(checked)
            with safe_open(f"/dev/fd/{checked.fileno()}", library) as file:  # whatever stands at `path` by now
                meta = parse_json(file.metadata()[META].encode())
                return {name: file.get_tensor(name) for name in file.keys()}, meta  # noqa: SIM118 (not a dict)
    except (*_NO_FILE, SafetensorError, LookupError, ValueError, TypeError, RecursionError) as error:
        raise FedmolError(
            Exit.STATE_UNUSABLE,
            f"{path} cannot be used: {error}",
            "restore the file from a backup of its folder, or start over in an empty folder",
        ) from None


def _header(arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> bytes:
    """The file's beginning, with zeros for the digest."""
    metadata = {"blake3": _NO_DIGEST.decode(), META: json.dumps(meta, sort_keys=True)}
    document: dict[str, Any] = {"__metadata__": metadata}
    start = 0
    for name, array in arrays.items():
        end = start + array.nbytes
        document[name] = {"dtype": _DTYPES[array.dtype.name], "shape": list(array.shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _regular(path: Path, largest: int) -> BinaryIO:
    try:
        return open_regular(path, largest)
    except OSError as error:
        if error.errno in NO_FILE:
            raise ValueError(error.strerror) from None
        raise


def _check(file: BinaryIO) -> None:
    """Raises ValueError unless the file's content has the digest that it carries."""
    size = os.fstat(file.fileno()).st_size
    front = file.read(8)
    length = int.from_bytes(front, "little")
    if length > min(size, _LARGEST_HEADER):
        raise ValueError("it is not a safetensors file")
    header = file.read(length)
    if not header.startswith(_START):
        raise ValueError("it carries no digest of its content")
    check_depth(header)
    end = len(_START) + len(_NO_DIGEST)
    said, hashed = header[len(_START) : end], blake3(front + _START + _NO_DIGEST + header[end:])
    while piece := file.read(_PIECE):
        hashed.update(piece)
    if hashed.hexdigest().encode() != said:
        raise ValueError("its content is not what was written: the digest differs")
