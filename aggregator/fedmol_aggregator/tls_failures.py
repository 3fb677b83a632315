"""Failed TLS handshakes, for the event log, and gRPC's own lines, of which only a few are passed on.

gRPC offers no hook for a peer that fails the handshake: it only writes a line to the process's standard error. So that
stream is read through a pipe. What the program itself says is passed on unchanged. Of gRPC's lines a few are passed on
each minute and the rest is counted; those about handshakes become `site_refused` events, which add up.
"""

from __future__ import annotations

import atexit
import os
import re
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from fedmol.telemetry.events.site_events import SiteRefused
from fedmol.telemetry.log import EventLog
from fedmol.telemetry.repeats import EVERY, Repeats

_CODE = re.compile(rb"[A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+")
_OF_GRPC = re.compile(rb"[IWEF]\d{4} \S+ .*?\] |WARNING: All log messages before absl::")
_LAST_WORDS = 5.0  # seconds
_PASSED = 5  # of gRPC's lines, in a minute
_MOST_KINDS = 8  # of failed handshakes, by the reason that gRPC names
_LONGEST_LINE = 16 * 2**10  # bytes; longer ones are passed on in pieces
_LONGEST_DETAIL = 200  # characters


class Listener:
    """Takes standard error line by line: what is to be passed on goes to `write`."""

    def __init__(
        self, events: EventLog, write: Callable[[bytes], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.write, self.clock = write, clock
        self.repeats = Repeats(events, _MOST_KINDS, clock)
        self._minute, self._passed, self._left_out = clock(), 0, 0

    def take(self, line: bytes) -> None:
        if _OF_GRPC.match(line) is None:
            self.write(line)
            return
        self.settle()
        if self._passed < _PASSED:
            self._passed += 1
            self.write(line)
        else:
            self._left_out += 1
        if b"andshake failed" in line:
            detail = reason(line)
            with suppress(OSError):  # a full disk ends the run elsewhere; standard error has to be read on
                self.repeats.note(SiteRefused(reason="tls-handshake", detail=detail), None, detail)

    def settle(self, everything: bool = False) -> None:
        """Tell what was left out in a minute that is over; with `everything`, in this one, too."""
        if everything or self.clock() - self._minute >= EVERY:
            if self._left_out:
                self.write(b"%d more lines of gRPC were left out\n" % self._left_out)
            self._minute, self._passed, self._left_out = self.clock(), 0, 0
        with suppress(OSError):
            self.repeats.settle(everything)


def watch_stderr(events: EventLog) -> None:
    """From now on, log failed handshakes that gRPC reports on standard error."""
    reader, writer = os.pipe()
    real = os.dup(2)
    os.dup2(writer, 2)
    os.close(writer)
    pump = threading.Thread(target=_pump, args=(reader, real, events), name="handshakes", daemon=True)
    pump.start()
    atexit.register(_finish, real, pump)


def _finish(real: int, pump: threading.Thread) -> None:
    """Close the pipe's other end and let what is still in it be passed on: the last words say why the process ends."""
    os.dup2(real, 2)
    pump.join(_LAST_WORDS)


def _pump(reader: int, real: int, events: EventLog) -> None:
    def write(line: bytes) -> None:
        with suppress(OSError):  # whoever read it has gone
            os.write(real, line)

    listener, rest = Listener(events, write), b""
    while True:
        ready, _, _ = select.select([reader], [], [], 1.0)
        if not ready:
            listener.settle()
            continue
        piece = os.read(reader, 64 * 2**10)
        *lines, rest = (rest + piece).splitlines(keepends=True) or [b""]
        if rest.endswith(b"\n") or len(rest) > _LONGEST_LINE or not piece:
            lines, rest = [*lines, rest], b""
        for line in lines:
            listener.take(line)
        if not piece:
            listener.settle(everything=True)
            os.close(reader)
            return


def reason(line: bytes) -> str:
    """What gRPC says went wrong, without its time stamps and addresses."""
    codes = [code for code in _CODE.findall(line) if code != b"SSL_ERROR_SSL"]
    return (b" ".join(codes).decode() or line.decode(errors="replace").strip())[:_LONGEST_DETAIL]
