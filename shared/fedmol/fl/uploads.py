"""The uploads of a round on disk: each section streams to a file under its name and digest while it arrives.

    uploads/round-0003/model-<BLAKE3 of the section>.safetensors    the section's values
    uploads/round-0003/west.train.json                              what the upload was: digests, metrics, norms
    uploads/scratch/1                                               an upload that is arriving, or a file free for one

An upload counts once its JSON record is there. Neither is forced to the disk at once: a site keeps its own copy and is
asked again for what a power cut took.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from blake3 import blake3

from fedmol.errors import Exit, FedmolError
from fedmol.files import open_to_write, read_bytes
from fedmol.fl.payload import MODEL, Payload, Section, Sections, Vector
from fedmol.fl.scratch import Scratch
from fedmol.fl.tasks import SECONDS, TASKS, Task
from fedmol.fl.updates import Update

_LARGEST_RECORD = 64 * 2**10  # bytes


@dataclass(frozen=True)
class UploadRecord:
    """What is known of an upload that arrived whole."""

    site: str
    round: int
    task: str
    metrics: Mapping[str, float]
    digests: Mapping[str, str]  # BLAKE3 by section; empty for a task that sends no payload
    norms: Mapping[str, float]  # of what the site has changed, by section

    @property
    def norm(self) -> float:
        """How far the model has moved; 0 for a task that sends no payload."""
        return self.norms.get(MODEL, 0.0)


class UploadStore:
    def __init__(self, folder: Path, payload: Payload) -> None:
        self.folder, self.payload = folder, payload
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # sites' own models are nobody else's affair
        self.scratch = Scratch(folder / "scratch")

    def receive(self, site: str, round: int, task: Task, current: Sections) -> Reception:
        """Begin to take an upload in."""
        folder = self._round(round)
        with suppress(FileExistsError):
            os.mkdir(folder)
        return Reception(folder, self.scratch, site, round, task, self.payload, current)

    def records(self, round: int) -> tuple[list[UploadRecord], list[Path]]:
        """The uploads of `round` that are on the disk, and the record files that are damaged."""
        whole, damaged = [], []
        for path in sorted(self._round(round).glob("*.json")):
            record = _read_record(path)
            fits = record is not None and (record.round, path) == (round, self._record_path(record))
            if record is not None and fits and record.task in TASKS:
                whole.append(record)
            else:
                damaged.append(path)
        return whole, damaged

    def update(self, record: UploadRecord, weight: float, share: float) -> Update:
        """The record's sections as a strategy reads them."""
        files = {name: self._round(record.round) / _file_name(name, digest) for name, digest in record.digests.items()}
        return Update(record.site, weight, share, files, record.digests)

    def drop(self, record: UploadRecord) -> None:
        """Forget an upload, so that its site is asked for it again."""
        self._record_path(record).unlink(missing_ok=True)

    def keep_from(self, round: int) -> None:
        """Delete the uploads of earlier rounds."""
        for folder in self.folder.glob("round-*"):
            number = folder.name.removeprefix("round-")
            if number.isdigit() and int(number) < round:
                for path in folder.glob("*.safetensors"):
                    self.scratch.take_over(path)
                shutil.rmtree(folder)

    def _round(self, round: int) -> Path:
        return self.folder / f"round-{round:04d}"

    def _record_path(self, record: UploadRecord) -> Path:
        return self._round(record.round) / f"{record.site}.{record.task}.json"


class Reception:
    """One upload while it arrives: every agreed section and metric exactly once, and nothing else.

    All methods raise FedmolError UPDATE_REFUSED for what was not agreed; nothing is kept of the upload then.
    """

    def __init__(
        self,
        folder: Path,
        scratch: Scratch,
        site: str,
        round: int,
        task: Task,
        payload: Payload,
        current: Sections,
    ) -> None:
        self.site, self.round, self.task = site, round, task
        self._folder, self._scratch, self._current = folder, scratch, current
        self._sections = payload.by_name if task.sends_payload else {}
        self._writers: dict[str, SectionWriter] = {}
        self._metrics: dict[str, float] = {}

    def section(self, name: str) -> SectionWriter:
        """Begin to take in the section `name`."""
        section = self._sections.get(name)
        if section is None or name in self._writers:
            raise self.refusal(f"holds {'two sections' if section else 'an unknown section'} {_shown(name)}")
        writer = SectionWriter(self, *self._scratch.take(), section, self._current[name] if name == MODEL else None)
        self._writers[name] = writer
        return writer

    def metric(self, name: str, value: float) -> None:
        if name not in self.task.metrics or name in self._metrics:
            what = "two metrics" if name in self._metrics else "an unknown metric"
            raise self.refusal(f"holds {what} {_shown(name)}")
        if not math.isfinite(value) or (name == SECONDS and value < 0):
            raise self.refusal(
                f"says that {name} is {value}, which is not finite and possible", "look at the site's losses"
            )
        self._metrics[name] = value

    def finish(self) -> UploadRecord:
        """What the upload was, once all of it has come; `keep` makes it count."""
        absent = [*(self._sections.keys() - self._writers.keys()), *(set(self.task.metrics) - self._metrics.keys())]
        if absent:
            raise self.refusal(f"lacks {', '.join(sorted(absent))}")
        digests = {name: writer.finish() for name, writer in self._writers.items()}
        norms = {name: math.sqrt(writer.square) for name, writer in self._writers.items()}
        return UploadRecord(self.site, self.round, self.task.name, dict(self._metrics), digests, norms)

    def keep(self, record: UploadRecord) -> None:
        """From now on the upload is there, also after a restart. The last step: what `finish` gave counts by it."""
        for name, digest in record.digests.items():
            os.replace(self._writers.pop(name).path, self._folder / _file_name(name, digest))
        path = self._folder / f"{record.site}.{record.task}.json"
        unready = path.with_suffix(".partial")
        with os.fdopen(open_to_write(unready, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb", buffering=0) as file:
            _write_whole(file, memoryview(_write_record(record)))
        os.replace(unready, path)

    def discard(self) -> None:
        """Let go of what has come so far; after `keep` there is nothing left."""
        for writer in self._writers.values():
            writer.close()
            self._scratch.give_back(writer.path)

    def refusal(self, what: str, cure: str = "install the same version of fedmol on both sides") -> FedmolError:
        """The error that says why the upload is refused."""
        return FedmolError(
            Exit.UPDATE_REFUSED,
            f"the upload of {self.site} for task {self.task.name} in round {self.round} {what}",
            cure,
        )


class SectionWriter:
    """Takes in one section's bytes in pieces of any length: writes, hashes, and looks at each number."""

    def __init__(
        self, reception: Reception, path: Path, file: BinaryIO, section: Section, current: Vector | None
    ) -> None:
        self.path, self.section, self.square = path, section, 0.0  # square: of the distance from `current`, or from 0
        self._reception, self._file, self._current = reception, file, current
        self._file.write(_header(section))
        self._hash, self._seen, self._rest = blake3(), 0, b""
        self._difference = np.empty(0, np.float32)

    def write(self, piece: memoryview) -> None:
        if self._seen + len(self._rest) + len(piece) > self.section.nbytes:
            raise self._wrong_length("more")
        _write_whole(self._file, piece)
        self._hash.update(piece)
        if self._rest:  # a number that was cut in two by the piece before
            head = piece[: 4 - len(self._rest)]
            self._rest, piece = self._rest + bytes(head), piece[len(head) :]
            if len(self._rest) == 4:
                self._look(memoryview(self._rest))
                self._rest = b""
        whole = len(piece) - len(piece) % 4
        if whole:
            self._look(piece[:whole])
        self._rest += bytes(piece[whole:])

    def finish(self) -> str:
        """The section's digest, once it has all come."""
        if self._seen != self.section.nbytes:
            raise self._wrong_length("fewer")
        self._file.truncate()  # what was there before may have been longer
        self._file.close()
        return self._hash.hexdigest()

    def close(self) -> None:
        self._file.close()

    def _look(self, piece: memoryview) -> None:
        values, start = np.frombuffer(piece, "<f4"), self._seen // 4
        if len(self._difference) < len(values):
            self._difference = np.empty(len(values), np.float32)
        difference = self._difference[: len(values)]
        with np.errstate(over="ignore", invalid="ignore"):
            np.subtract(values, self._from(start, len(values)), out=difference)
            square = float(np.dot(difference, difference))
        if not math.isfinite(square):
            if not np.isfinite(values).all():
                raise self._reception.refusal(
                    f"holds weights that are not finite (the first is weight {start + _first_unsound(values)})",
                    "look at the site's losses and lower the learning rate",
                )
            exact = values.astype(np.float64) - self._from(start, len(values))
            square = float(np.dot(exact, exact))
        self.square += square
        self._seen += len(piece)

    def _from(self, start: int, count: int) -> Vector | np.float32:
        return np.float32(0) if self._current is None else self._current[start : start + count]

    def _wrong_length(self, how: str) -> FedmolError:
        return self._reception.refusal(
            f"has {how} bytes in section {self.section.name!r} than the agreed {self.section.nbytes}"
        )


def _first_unsound(values: Vector) -> int:
    return int(np.argmin(np.isfinite(values)))


def _shown(name: str) -> str:
    return repr(name[:40])


def _file_name(section: str, digest: str) -> str:
    return f"{section}-{digest}.safetensors"


@lru_cache(maxsize=16)
def _header(section: Section) -> bytes:
    entry = {"dtype": "F32", "shape": [section.length], "data_offsets": [0, section.nbytes]}
    text = json.dumps({section.name: entry}).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _write_whole(file: BinaryIO, piece: memoryview) -> None:
    while piece:
        piece = piece[file.write(piece) :]


def _write_record(record: UploadRecord) -> bytes:
    text = json.dumps(vars(record), sort_keys=True)
    return json.dumps({"record": text, "blake3": blake3(text.encode()).hexdigest()}).encode()


def _read_record(path: Path) -> UploadRecord | None:
    """None when the file is not what `_write_record` wrote."""
    try:
        outer = json.loads(read_bytes(path, _LARGEST_RECORD))
        if blake3(outer["record"].encode()).hexdigest() != outer["blake3"]:
            return None
        return UploadRecord(**json.loads(outer["record"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
