"""Programs of fedmol that start in a blink: children of one process that has imported them.

Importing torch, RDKit and OpenFL takes seconds of a core, and a run in these tests is over in less. The children are
processes like any other, with arguments, signals and an exit code of their own.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from fedmol.local.processes import Party

_PATH = os.environ.get("PYTHONPATH")
_PRELOADED = ("fedmol_aggregator.service", "fedmol_collaborator.participation")


class Child:
    """A started program, with what is used here of `subprocess.Popen`."""

    def __init__(self, pid: int, ending: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ending = ending

    def poll(self) -> int | None:
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._look(timeout)
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._ending], [], [], timeout)[0]:
            self.returncode = int(self._ending.recv(16))
            self._ending.close()
        return self.returncode


class Forks:
    """The process that has imported everything, started when it is needed first."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, __file__, str(theirs.fileno())]
        self._process = subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()], start_new_session=True)
        theirs.close()
        self._one = threading.Lock()

    def start(self, module: str, arguments: list[str], log: Path) -> Child:
        """`python -m module arguments`, in a session of its own."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        asked = {"module": module, "arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
        with self._one, theirs, log.open("ab") as output:
            socket.send_fds(self._control, [json.dumps(asked).encode()], [theirs.fileno(), output.fileno()])
            pid = int(self._control.recv(16))
        return Child(pid, ours)


forks = cache(Forks)


@dataclass
class ForkedParty(Party):
    """A party that starts in a blink, unless a test changes what it imports: by a script of its own, or by a path."""

    process: Any = field(default=None)

    def start(self) -> None:
        if self.command[1] != "-m" or self.threads > 1 or os.environ.get("PYTHONPATH") != _PATH:
            super().start()
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.process = forks().start(self.command[2], self.command[3:], self.log)


def _serve(control: socket.socket) -> dict[str, Any]:
    """Fork whenever that is asked for, and tell how the children ended. Returns in a child, with what it has to do."""
    children: dict[int, socket.socket] = {}
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    while True:
        if control.fileno() in select.select([control.fileno(), woken], [], [])[0]:
            message, descriptors, _, _ = socket.recv_fds(control, 2**20, 2)
            if not message:
                os._exit(0)  # the tests are over
            ending, output = socket.socket(fileno=descriptors[0]), descriptors[1]
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for inherited in (control, ending, *children.values()):
                    inherited.close()
                os.dup2(output, 1)
                os.dup2(output, 2)
                for descriptor in (woken, wake, output):
                    os.close(descriptor)
                return dict(json.loads(message))
            os.close(output)
            children[pid] = ending
            control.send(str(pid).encode())
        else:
            os.read(woken, 4096)
        while children and (ended := os.waitpid(-1, os.WNOHANG))[0]:
            with children.pop(ended[0]) as ending, suppress(BrokenPipeError):  # it may be that nobody waits any more
                ending.send(str(os.waitstatus_to_exitcode(ended[1])).encode())


def main() -> None:
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    for name in _PRELOADED:
        importlib.import_module(name)
    asked = _serve(socket.socket(fileno=int(sys.argv[1])))
    os.setsid()
    os.chdir(asked["folder"])
    os.environ.update(asked["environment"] | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"})
    sys.argv = [asked["module"], *asked["arguments"]]
    runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
