"""Something done to every row of a large table, on all cores of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from fedmol import worker_processes
from fedmol.errors import Exit, FedmolError

Progress = Callable[[int, int], None]  # rows done, of how many

T = TypeVar("T")

BLOCK = 4000  # rows that a process is given at a time
_WORTH_IT = 5 * BLOCK  # rows from which on processes gain more than starting them takes


def in_blocks(
    function: Callable[[Sequence[str]], T],
    texts: Sequence[str],
    on_progress: Progress | None = None,
    processes: int | None = None,
) -> Iterator[T]:
    """`function` of each block of texts, in order, by as many processes as there are cores when texts are many.

    Raises:
        FedmolError: PROCESS_LOST when a process is killed, for want of memory perhaps.
    """
    starts = range(0, len(texts), BLOCK)
    number = processes or (len(os.sched_getaffinity(0)) if len(texts) >= _WORTH_IT else 1)
    if number > 1:
        results = _by_processes(function, texts, starts, min(number, len(starts)))
    else:
        results = (function(texts[start : start + BLOCK]) for start in starts)
    for start, result in zip(starts, results, strict=True):
        if on_progress is not None:
            on_progress(min(start + BLOCK, len(texts)), len(texts))
        yield result


def _by_processes(
    function: Callable[[Sequence[str]], T], texts: Sequence[str], starts: range, number: int
) -> Iterator[T]:
    done: dict[int, T] = {}
    left = iter(starts)
    with ExitStack() as stack:
        workers = [stack.enter_context(_Worker(function)) for _ in range(number)]
        for worker in workers:
            worker.ask(texts, next(left, None))
        for start in starts:
            while start not in done:
                answering = wait([worker.connection for worker in workers if worker.asked is not None])
                for worker in workers:
                    if worker.connection in answering and worker.asked is not None:
                        done[worker.asked] = worker.answer()
                        worker.ask(texts, next(left, None))
            yield done.pop(start)


class _Worker:
    """A process that does one block after the other, and ends when nobody can ask it any more."""

    def __init__(self, function: Callable[[Sequence[str]], Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.asked: int | None = None  # the first row of what it is at
        self._process = context.Process(target=_work, args=(theirs, function), daemon=True)
        worker_processes.start(self._process)
        theirs.close()

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self._process.terminate()
        self._process.join()

    def ask(self, texts: Sequence[str], start: int | None) -> None:
        self.asked = start
        if start is not None:
            self.connection.send(texts[start : start + BLOCK])

    def answer(self) -> Any:
        try:
            return self.connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            raise FedmolError(
                Exit.PROCESS_LOST,
                f"a process that read rows from {self.asked:,} on ended with {self._process.exitcode}",
                "see whether the system ran out of memory, and look at these rows",
            ) from None


def _work(connection: Connection, function: Callable[[Sequence[str]], Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever asked is told, and ends
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        while True:
            connection.send(function(connection.recv()))
    except (EOFError, BrokenPipeError):
        return
