"""The event log of a large federation, written as the aggregator writes it, and molecules beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from fedmol import files
from fedmol.data.embedded import embedded
from fedmol.run_folder import RunFolder
from fedmol.telemetry.events.event_record import Record
from fedmol.telemetry.events.round_events import RoundFinished, RoundStarted, UpdateReceived
from fedmol.telemetry.events.run_events import RunStarted
from fedmol.telemetry.events.site_events import AgreementReached, Histograms, SiteJoined, SiteProgress
from fedmol.telemetry.log import EventLog

_STEPS = 60  # of a round
_SIGNS = 5  # of life that are logged while a site trains in a round
_MODEL = 3_420_000  # bytes
_SHOWN = 48  # molecules of a preview

Write = tuple[Record, dict[str, Any]]  # an event, and what its head says


@dataclass
class Federation:
    """Its sites are all alike, and none of them ever fails."""

    folder: Path
    sites: int
    rounds: int
    log: EventLog = field(init=False)

    def __post_init__(self) -> None:
        self.log = EventLog(RunFolder(self.folder).log, run="busy", site="aggregator")
        self.names = [f"site-{number:02d}" for number in range(1, self.sites + 1)]
        self.equal = dict.fromkeys(self.names, 1 / self.sites)

    def gather(self) -> None:
        """Everyone has come."""
        fixed: dict[str, Any] = {"quorum": self.sites // 2 + 1, "parameters": _MODEL // 4, "model_bytes": _MODEL}
        self.log.write(RunStarted(sites=self.names, rounds=self.rounds, **fixed))
        for name in self.names:
            self.log.write(SiteJoined(molecules=1000, census=Histograms(sizes=[1] * 30)), site=name)
        molecules = dict.fromkeys(self.names, 1000)
        self.log.write(AgreementReached(molecules=molecules, weights=self.equal, local_steps=_STEPS))

    def play(self, number: int) -> None:
        """A whole round."""
        for event, head in self.round(number):
            self.log.write(event, **head)

    def round(self, number: int) -> Iterator[Write]:
        """The events of a round, in order."""
        yield RoundStarted(), {"round": number}
        yield from self._all(number, "validating", step=0, steps=0)
        for sign in range(1, _SIGNS + 1):
            told = {"loss": 3 / number, "molecules_per_second": 1234.5, "seconds_left": float(_SIGNS - sign)}
            yield from self._all(number, "training", step=sign * _STEPS // _SIGNS, steps=_STEPS, **told)
        yield from self._all(number, "sending", step=_STEPS, steps=_STEPS)
        for name in self.names:
            yield UpdateReceived(molecules=1000, bytes=_MODEL, norm=1.5), {"site": name, "round": number}
        yield self._account(number), {"round": number}

    def _all(self, number: int, phase: str, **fields: Any) -> Iterator[Write]:
        for name in self.names:
            yield SiteProgress(**fields), {"site": name, "round": number, "phase": phase}

    def _account(self, number: int) -> RoundFinished:
        losses = {name: 3 / number + k / 1000 for k, name in enumerate(self.names)}
        return RoundFinished(
            sites=self.names,
            weights=self.equal,
            missing=[],
            seconds=20.0,
            seconds_outside_training=0.9,
            aggregator_cpu_seconds=0.4,
            loss=3 / number,
            nll=70 + 10 / number,
            site_loss=losses,
            site_nll={name: 70 + loss for name, loss in losses.items()},
            model_digest="ab" * 32,
        )

    def sample(self, number: int) -> None:
        """A preview, each time of other molecules."""
        known = embedded()
        first = number * _SHOWN % (len(known) - _SHOWN)
        rate = {"count": 60, "total": 64}
        preview = {
            "round": number,
            "samples": 64,
            "known": 1000,
            "quality": {"validity": rate, "uniqueness": rate, "novelty": rate},
            "examples": [{"smiles": smiles, "novel": True} for smiles in known[first : first + _SHOWN]],
        }
        files.write_text(RunFolder(self.folder).preview, json.dumps(preview))

    def endless(self, first: int) -> Iterator[Write]:
        """The events of the round `first` and of all that follow."""
        for number in count(first):
            yield from self.round(number)
