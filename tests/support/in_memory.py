"""A federation without a network: the round engine, and sites that are vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fedmol.fl.engine import RoundEngine
from fedmol.fl.liveness import Liveness
from fedmol.fl.payload import MODEL, Vector, encode
from fedmol.fl.rounds import RoundRule, Terms
from fedmol.fl.strategies import Strategy
from fedmol.fl.tasks import LOSS, NEGATIVE_NLL, SECONDS, TRAIN, VALIDATE
from fedmol.fl.update_norms import Reach
from fedmol.telemetry.log import Event, EventLog
from fedmol.telemetry.queries import Kind, logged

PARAMETERS = 1001
REACH = Reach(norm=100.0, steps=100, gradient=1.0)


class Federation:
    """`restart` builds the engine again on the same folder, as after a kill."""

    def __init__(self, work: Path, molecules: Mapping[str, int], strategy: Strategy, **terms: Any) -> None:
        self.work, self.molecules = work, dict(molecules)
        self.terms = Terms(
            payload=strategy.payload(terms.pop("parameters", PARAMETERS)),
            rounds=terms.pop("rounds", 4),
            strategy=strategy,
            largest_share=terms.pop("largest_share", None),
            norm_ratio=terms.pop("norm_ratio", 3.0),
            reach=lambda round: REACH,
            molecules=lambda: self.molecules,
        )
        self.quorum = terms.pop("quorum", len(molecules))
        assert not terms
        parameters = self.terms.payload.by_name[MODEL].length
        self.initial = np.random.default_rng(0).normal(size=parameters).astype(np.float32)
        self.restart()

    def restart(self) -> None:
        self.events = EventLog(self.work / "events.jsonl", run="r", site="aggregator")
        liveness = Liveness(self.molecules, 1000.0, self.events)
        rule = RoundRule(list(self.molecules), self.quorum, 1000.0, liveness, grace=0.001)
        initial = self.terms.payload.begin(self.initial)
        self.engine = RoundEngine(self.terms, initial, rule, self.work, 3, self.events)

    @property
    def model(self) -> Vector:
        return self.engine.sections[MODEL]

    @property
    def content(self) -> bytes:
        """All that the open round starts from."""
        return b"".join(self.engine.sections[name].tobytes() for name in self.terms.payload.by_name)

    def trained(self, site: str, round: int, length: float = 5.0) -> Vector:
        """The site's model after its training: a step of `length` in a direction of its own."""
        step = np.random.default_rng([round, *site.encode()]).normal(size=PARAMETERS)
        return (self.model + length * step / np.linalg.norm(step)).astype(np.float32)

    def validate(self, site: str, round: int) -> None:
        with self.engine.receiving(site, round, VALIDATE.name) as reception:
            if reception is not None:
                reception.metric(NEGATIVE_NLL, -80.0)
                reception.metric(SECONDS, 1.0)

    def changed(self, site: str, round: int, section: str) -> Vector:
        """What the site changes in a section beside the model: by 1, in a direction of its own."""
        change = np.random.default_rng([round, *site.encode(), *section.encode()]).normal(size=PARAMETERS)
        return (change / np.linalg.norm(change)).astype(np.float32)

    def train(self, site: str, round: int, vector: Vector, **others: Vector) -> None:
        with self.engine.receiving(site, round, TRAIN.name) as reception:
            if reception is not None:
                reception.metric(LOSS, 2.0)
                reception.metric(SECONDS, 3.0)
                for name, section in self.terms.payload.by_name.items():
                    sent = vector if name == MODEL else others.get(name)
                    content = encode(section, self.changed(site, round, name) if sent is None else sent)
                    writer = reception.section(name)
                    for start in range(0, len(content), 1021):  # pieces that cut numbers in two
                        writer.write(content[start : start + 1021])

    def report(self, site: str, round: int, vector: Vector | None = None, **others: Vector) -> None:
        self.validate(site, round)
        self.train(site, round, self.trained(site, round) if vector is None else vector, **others)

    def play(self, until: int) -> None:
        """All sites report, and rounds close, until round `until` is done."""
        while self.engine.round <= until and not self.engine.finished:
            round = self.engine.round
            for site in self.molecules:
                self.report(site, round)
            assert self.engine.tick()

    def said(self, kind: type[Kind]) -> list[Event[Kind]]:
        return list(logged(self.events.path, kind))


Build = Callable[..., Federation]
