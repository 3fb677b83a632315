"""Watching a log: it is read as it grows, folded into what is known, and whoever waits for news is woken."""

from __future__ import annotations

import asyncio
import errno
import stat
import time
from collections.abc import Callable
from pathlib import Path

from fedmol.files import open_regular
from fedmol.run_folder import RunFolder
from fedmol.sidecar.certificate_expiry import certificates
from fedmol.sidecar.molecules import NONE, newest, picture
from fedmol.sidecar.views import CertificateView, LogView
from fedmol.telemetry.reducer import apply
from fedmol.telemetry.state import Run
from fedmol.telemetry.tail import LogReader

_PERIOD = 0.5  # seconds between two looks at a log that has not grown
_CERTIFICATES_EVERY = 60.0  # seconds
_LARGEST_REPORT = 16 * 2**20  # bytes


class Watch:
    """The log in `folder`: a party's working folder, or the folder of a run played on one machine.

    Molecules and the report are in `results`, or in `folder` when that is left out.
    """

    def __init__(
        self,
        folder: Path,
        certs: Path | None = None,
        results: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder, self.certs, self.clock = RunFolder(folder), certs, clock
        self.results = RunFolder(results or folder)
        self.run = Run()
        self.problem: str | None = "the log has not been looked for yet"
        self.closed = False
        self.reader = LogReader(self.folder.told)
        self.molecules = NONE
        self._news = asyncio.Event()
        self._certificates: tuple[float, list[CertificateView]] = (float("-inf"), [])

    @property
    def version(self) -> tuple[int, int]:
        """Another one whenever something was read."""
        return self.reader.generation, self.reader.lines

    def look(self) -> bool:
        """Read and fold one piece of the log; whether there was one."""
        return self._fold(self._read())

    def catch_up(self) -> None:
        """Read and fold all that there is."""
        while self.look():
            pass

    def _read(self) -> bool:
        if self.run.role is None and self.reader.path != self.folder.told:
            self.reader = LogReader(self.folder.told)
        before = self.reader.generation, self.reader.offset
        try:
            self._events = self.reader.read()
            self.problem = None
        except OSError as error:
            self._events = []
            self.problem = f"{self.reader.path}: {error.strerror or error}"
            if isinstance(error, FileNotFoundError):
                self.problem = f"waiting for {self.reader.path}: it is not there yet"
        self._replaced = self.reader.generation != before[0]
        self._look_for_molecules()
        return (self.reader.generation, self.reader.offset) != before

    def _look_for_molecules(self) -> None:
        """They are shown once they are drawn: no answer has to wait for that."""
        found = newest(self.results)
        if found is not self.molecules:
            for molecule in found.molecules:
                picture(molecule.smiles)
            self.molecules = found

    def _fold(self, grown: bool) -> bool:
        if self._replaced:
            self.run = Run()
        for event in self._events:
            apply(self.run, event)
        if grown:
            self.wake()
        return grown

    def wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def news(self, timeout: float) -> None:
        """Return when something new was read, or after `timeout` seconds."""
        try:
            await asyncio.wait_for(self._news.wait(), timeout)
        except TimeoutError:
            return

    async def follow(self) -> None:
        """Until cancelled. Files are read beside the event loop, and folded in small pieces within it."""
        while True:
            if not self._fold(await asyncio.to_thread(self._read)):
                await asyncio.sleep(_PERIOD)

    def close(self) -> None:
        """Let those who wait for news go."""
        self.closed = True
        self.wake()

    @property
    def moment(self) -> float:
        """The time of which the run is told: now or, while old events are still being read, that of the newest read."""
        now, last = self.clock(), self.run.last_event
        return now if self.reader.caught_up or last is None else min(now, last)

    @property
    def reasons(self) -> list[str]:
        """Why the service is not ready to tell the truth; empty when it is."""
        if self.problem is not None:
            return [self.problem]
        if not self.reader.caught_up:
            return [f"reading the log: {self.reader.offset:,} of {self.reader.size:,} bytes"]
        return []

    @property
    def has_report(self) -> bool:
        """Whether there is one to be read, which nobody has put there as something else."""
        try:
            return stat.S_ISREG(self.results.report.lstat().st_mode)
        except OSError:
            return False

    def read_report(self) -> bytes:
        """Raises OSError when there is none, or it is none."""
        with open_regular(self.results.report) as file:
            content = file.read(_LARGEST_REPORT + 1)
        if len(content) > _LARGEST_REPORT:
            raise OSError(errno.EFBIG, f"it has more than {_LARGEST_REPORT:,} bytes")
        return content

    def log_view(self) -> LogView:
        reader = self.reader
        return LogView(
            events=reader.lines,
            bytes=reader.size,
            bytes_read=reader.offset,
            intact=reader.broken_line is None,
            broken_line=reader.broken_line,
            unreadable_lines=reader.unreadable + self.run.misread,
            unreadable_line=min(filter(None, (reader.unreadable_line, self.run.misread_line)), default=None),
            last_event=self.run.last_event,
            problem=self.problem,
        )

    def certificates(self) -> list[CertificateView]:
        now = self.clock()
        if now - self._certificates[0] > _CERTIFICATES_EVERY:
            self._certificates = (now, certificates(self.certs, now))
        return self._certificates[1]
