"""Logs as the two programs write them, with the real writer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fedmol.sidecar.log_watch import Watch
from fedmol.telemetry.events.round_events import RoundFinished, RoundStarted, UpdateReceived
from fedmol.telemetry.events.run_events import RunFinished, RunStarted
from fedmol.telemetry.events.site_events import AgreementReached, Histograms, SiteJoined, SiteProgress
from fedmol.telemetry.log import EventLog

MODEL_BYTES = 400


class Story:
    """Writes an aggregator's log, event by event, as its code does."""

    def __init__(self, folder: Path, sites: list[str], rounds: int = 3) -> None:
        self.folder, self.sites, self.rounds = folder, sites, rounds
        self.log = EventLog(folder / "events.jsonl", run="trial", site="aggregator")

    def start(self) -> Story:
        self.log.write(
            RunStarted(sites=self.sites, quorum=1, rounds=self.rounds, parameters=100, model_bytes=MODEL_BYTES)
        )
        self.log.write(RoundStarted(), round=1)
        return self

    def gather(self) -> Story:
        for site in self.sites:
            self.log.write(SiteJoined(molecules=10, census=Histograms(atoms=[1])), site=site)
        weights = dict.fromkeys(self.sites, 1 / len(self.sites))
        self.log.write(AgreementReached(molecules=dict.fromkeys(self.sites, 10), weights=weights, local_steps=4))
        return self

    def progress(self, site: str, round: int, phase: str, **fields: Any) -> Story:
        self.log.write(SiteProgress(**{"step": 0, "steps": 0, **fields}), site=site, round=round, phase=phase)
        return self

    def train(self, site: str, round: int, step: int = 3) -> Story:
        speed = {"loss": 2.5, "molecules_per_second": 100.0, "seconds_left": 1.0}
        return self.progress(site, round, "training", step=step, steps=4, **speed)

    def receive(self, site: str, round: int) -> Story:
        self.log.write(UpdateReceived(molecules=10, bytes=MODEL_BYTES, norm=1.5), site=site, round=round)
        return self

    def finish(self, round: int, sites: list[str] | None = None) -> Story:
        there = self.sites if sites is None else sites
        self.log.write(
            RoundFinished(
                sites=there,
                weights=dict.fromkeys(there, 1 / len(there)),
                missing=sorted(set(self.sites) - set(there)),
                seconds=2.0,
                seconds_outside_training=0.5,
                aggregator_cpu_seconds=0.1,
                loss=2.0,
                nll=70.0 + round,
                site_loss=dict.fromkeys(there, 2.0),
                site_nll=dict.fromkeys(there, 70.0),
                model_digest="d",
            ),
            round=round,
        )
        return self

    def play(self, round: int) -> Story:
        """A whole round in which everyone takes part."""
        if round > 1:
            self.log.write(RoundStarted(), round=round)
        for site in self.sites:
            self.progress(site, round, "validating").train(site, round).progress(site, round, "sending")
            self.receive(site, round)
        return self.finish(round)

    def end(self, missing: list[str] | None = None, missed: dict[str, int] | None = None) -> Story:
        missing, missed = missing or [], missed or dict.fromkeys(missing or [], 1)
        outcome = "quorum" if missed else "complete"
        self.log.write(
            RunFinished(outcome=outcome, missing=missing, missed_rounds=missed, rounds=self.rounds, model_digest="d")
        )
        return self


def watching(folder: Path, later: float = 0.0, results: Path | None = None) -> Watch:
    """A watch that has read everything and is asked `later` seconds after the newest event."""
    watch = Watch(folder, results=results)
    watch.catch_up()
    asked = (watch.run.last_event or 0.0) + later
    watch.clock = lambda: asked
    return watch


def evaluation() -> dict[str, object]:
    """The part of evaluation.json that is looked at."""
    rates = {"validity": (9, 10), "uniqueness": (8, 9), "novelty": (2, 8)}
    return {
        "samples": 10,
        "known": 100,
        "quality": {name: {"count": count, "total": total} for name, (count, total) in rates.items()},
        "examples": [{"smiles": "CCO", "novel": False}, {"smiles": "C1CC1<script>", "novel": True}],
    }
