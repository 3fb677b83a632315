"""The event log as server-sent events: each event's id is its line's number, so that a client that was cut off goes on
where it was. Lines come from the file, not from memory: a slow client costs nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from fedmol.sidecar.log_watch import Watch

_HEARTBEAT = 10.0  # seconds
_RETRY = 2000  # milliseconds
_LONGEST_KIND = 64  # characters


async def events(watch: Watch, after: int | None) -> AsyncIterator[bytes]:
    """From the line after `after` (counted from 0) on, or whatever comes from now on.

    Ends when the watch is closed. A log that was replaced by another is sent from its beginning.
    """
    generation = watch.reader.generation
    number = watch.reader.lines if after is None else after + 1
    if number > watch.reader.lines:
        number = 0  # the client knows another log than this one
    yield f"retry: {_RETRY}\n\n".encode()
    while True:
        if watch.reader.generation != generation:
            generation, number = watch.reader.generation, 0
        try:
            lines, following = watch.reader.lines_from(number)
        except OSError:  # the log is gone or exchanged; the page says so
            lines, following = [], number
        for at, line in enumerate(lines, start=number):
            yield _event(at, line)
        number = following
        if not lines:
            if watch.closed:
                return
            before = watch.version
            await watch.news(_HEARTBEAT)
            if watch.version == before:
                yield b": still here\n\n"


def _event(number: int, line: bytes) -> bytes:
    try:
        record = json.loads(line, parse_constant=lambda _: None)  # JSON has no NaN; a diverged site's loss is one
        kind, data = "".join(str(record["kind"]).split())[:_LONGEST_KIND], json.dumps(record)
        kind.encode()
    except (ValueError, KeyError, TypeError, RecursionError):
        kind, data = "unreadable", json.dumps({"line": number + 1})
    return f"id: {number}\nevent: {kind}\ndata: {data}\n\n".encode()
