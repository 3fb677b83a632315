"""Files to write uploads into. One that is not needed any more is written over by the next upload: the system then has
nothing to allocate, which otherwise takes longer than everything else that is done with an upload."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import BinaryIO


class Scratch:
    """The files in `folder`, which belong to nobody when the process starts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._free = sorted(folder.iterdir())
        self._next = 1 + max((int(path.name) for path in self._free if path.name.isdigit()), default=0)

    def take(self) -> tuple[Path, BinaryIO]:
        """A file for the caller alone, open for writing from its start, with anything or nothing in it."""
        with self._lock:
            if self._free:
                path = self._free.pop()
            else:
                path = self.folder / str(self._next)
                self._next += 1
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        return path, os.fdopen(descriptor, "r+b", buffering=0)

    def give_back(self, path: Path) -> None:
        """A file that was taken is free again."""
        with self._lock:
            self._free.append(path)

    def take_over(self, path: Path) -> None:
        """A file from elsewhere on the same disk is free now."""
        with self._lock:
            target = self.folder / str(self._next)
            self._next += 1
            os.replace(path, target)
            self._free.append(target)
