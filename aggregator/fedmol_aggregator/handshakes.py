"""Failed TLS handshakes, for the event log.

gRPC offers no hook for a peer that fails the handshake: it only writes a line to the process's standard error. So that
stream is read through a pipe, passed on unchanged, and its handshake lines become `site_refused` events.
"""

from __future__ import annotations

import atexit
import os
import re
import threading

from fedmol.events import EventLog

_CODE = re.compile(rb"[A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+")
_LAST_WORDS = 5.0  # seconds


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
    with os.fdopen(reader, "rb") as lines:
        for line in lines:
            os.write(real, line)
            if b"andshake failed" in line:
                events.write("site_refused", reason="tls-handshake", detail=reason(line))


def reason(line: bytes) -> str:
    """What gRPC says went wrong, without its time stamps and addresses."""
    codes = [code for code in _CODE.findall(line) if code != b"SSL_ERROR_SSL"]
    return b" ".join(codes).decode() or line.decode(errors="replace").strip()
