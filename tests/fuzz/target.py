"""What the fuzzers work on: a round engine with three honest sites, whose final model is known."""

from __future__ import annotations

import resource
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.federation.member import Member, messages, metric, section
from fedmol.errors import Exit, FedmolError
from fedmol.fl.identity import peer_name
from fedmol.fl.strategies import FedAvg
from fedmol_aggregator.deliveries import Deliveries
from fedmol_aggregator.openfl_adapter.calls import Calls
from fedmol_aggregator.openfl_adapter.downloads import Downloads
from tests.support.in_memory import PARAMETERS, Federation

RUN, SITES = "r", {"a": 10, "b": 30, "c": 60}
ROUNDS = 4
_MEMORY = 300 * 2**20  # bytes that may be added to what the process needs at its start


class Target:
    """A federation in a folder of its own, a server's calls in front of it."""

    def __init__(self, work: Path) -> None:
        self.federation = Federation(work, SITES, FedAvg())
        self.serve()

    def serve(self) -> None:
        peer_checks: Any = SimpleNamespace(roster=SimpleNamespace(run=RUN), admit=_admit)
        deliveries = Deliveries(self.federation.events)
        self.calls = Calls(self.federation.engine, peer_checks, Downloads(4 * PARAMETERS), deliveries)

    def send(self, stream: list[bytes], site: str = "c") -> bool:
        """Whether the upload was taken; what refuses it is an error of fedmol's, and nothing else may come."""
        try:
            self.calls.results(site, iter(stream), None)
        except FedmolError as refusal:
            if refusal.exit not in (Exit.UPDATE_REFUSED, Exit.CERTIFICATE_OF_ANOTHER_SITE, Exit.UNKNOWN_RUN):
                raise
            return False
        return True

    def upload(self, site: str = "c") -> bytes:
        """An honest upload of `train` in the open round."""
        member = Member.__new__(Member)  # without a connection
        member.site, member.run, member.peer = site, RUN, peer_name(site)
        round = self.federation.engine.round
        values = self.federation.trained(site, round).astype(np.float32).tobytes()
        tensors = [metric("loss", 2.0, round), metric("seconds", 3.0, round), section(values, round)]
        return b"".join(bytes(part) for part in member.results("train", round, tensors, SITES[site]))


def _admit(site: str, peer: str, run: str) -> None:
    if peer != peer_name(site):
        raise FedmolError(Exit.CERTIFICATE_OF_ANOTHER_SITE, "another site", "none")
    if run != RUN:
        raise FedmolError(Exit.UNKNOWN_RUN, "another run", "none")


def reference() -> bytes:
    """The final model of the run in which nobody did anything but what was agreed."""
    folder = Path(tempfile.mkdtemp())
    try:
        one = Federation(folder, SITES, FedAvg())
        one.play(ROUNDS)
        return one.model.tobytes()
    finally:
        shutil.rmtree(folder)


class MemoryBound:
    def __init__(self) -> None:
        self._start = _peak()

    def check(self) -> None:
        assert _peak() - self._start < _MEMORY


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


__all__ = ["PARAMETERS", "ROUNDS", "SITES", "MemoryBound", "Target", "messages", "reference"]
