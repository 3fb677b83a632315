"""The round book: what fedmol adds around OpenFL's rounds.

OpenFL's aggregator calls it when an upload arrives, when it averages, and when a round closes. Rounds are counted from
1 here, as in every file, event and page; OpenFL counts from 0.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from fedmol.errors import FedmolError
from fedmol.events import EventLog, read
from fedmol.federation.algorithms import Algorithm, State, Update, Vector, vector_digest
from fedmol.federation.plan import LOSS, NEGATIVE_NLL, SECONDS
from fedmol_aggregator.inspection import inspect
from fedmol_aggregator.rounds import RoundRule
from fedmol_aggregator.store import RoundStore

Metrics = dict[str, float]


@dataclass
class RoundBook:
    events: EventLog
    store: RoundStore
    algorithm: Algorithm
    rule: RoundRule
    norm_limit: float
    reports: dict[str, Metrics] = field(default_factory=dict)  # site -> what it measured in the open round
    weights: dict[str, float] = field(default_factory=dict)
    _state: State = field(default_factory=dict)
    _cpu: float = field(default_factory=time.process_time)

    def begin(self, round: int) -> None:
        self.rule.restart()
        self.events.write("round_started", round=round)

    def admit(self, site: str, round: int, current: Vector, update: Vector, molecules: int, bytes: int) -> None:
        """Look at an upload before anything is kept of it.

        Raises:
            FedmolError: UPDATE_REFUSED; the refusal is in the event log.
        """
        try:
            norm = inspect(site, current, update, self.norm_limit)
        except FedmolError as refusal:
            self.events.write("update_refused", site=site, round=round, reason=refusal.message)
            raise
        self.events.write("update_received", site=site, round=round, molecules=molecules, bytes=bytes, norm=norm)

    def record(self, site: str, metrics: Metrics) -> None:
        """Keep what a site measured; also called when an open round is replayed after a restart."""
        self.reports.setdefault(site, {}).update(metrics)

    def aggregate(self, round: int, current: Vector, updates: list[Update]) -> Vector:
        """The model that leaves the round."""
        self.weights = {update.site: update.weight for update in sorted(updates, key=lambda u: u.site)}
        model, self._state = self.algorithm(current, updates, self.store.state_before(round))
        return model

    def close(self, round: int, model: Vector) -> None:
        """Put the round's model on disk and log the round. A replay that ends in the same model changes nothing."""
        digest = vector_digest(model)
        replayed = self.store.has(round) and self.store.load(round)[2]["digest"] == digest
        if not (replayed and self._logged(round, digest)):
            record = self._record(round, digest)
            self.store.save(round, model, self._state, record)
            self.events.write("round_finished", **record)
        self.reports = {}

    def _logged(self, round: int, digest: str) -> bool:
        finished = (
            event for event in read(self.events.path) if event.kind == "round_finished" and event.round == round
        )
        return any(event.fields["model_digest"] == digest for event in finished)

    def _record(self, round: int, digest: str) -> dict[str, Any]:
        cpu, self._cpu = time.process_time() - self._cpu, time.process_time()
        seconds = self.rule.clock() - self.rule.started
        working = [sum(v for k, v in self.reports[site].items() if k.startswith(SECONDS)) for site in self.weights]
        return {
            "round": round,
            "sites": list(self.weights),
            "weights": self.weights,
            "missing": sorted(set(self.rule.sites) - set(self.weights)),
            "seconds": round_to_milliseconds(seconds),
            "seconds_outside_training": round_to_milliseconds(seconds - max(working)),
            "aggregator_cpu_seconds": round_to_milliseconds(cpu),
            "loss": self._mean(LOSS),
            "nll": -self._mean(NEGATIVE_NLL),
            "site_loss": {site: self.reports[site][LOSS] for site in self.weights},
            "site_nll": {site: -self.reports[site][NEGATIVE_NLL] for site in self.weights},
            "model_digest": digest,
        }

    def _mean(self, metric: str) -> float:
        return sum(weight * self.reports[site][metric] for site, weight in self.weights.items())


def round_to_milliseconds(seconds: float) -> float:
    return round(seconds, 3)
