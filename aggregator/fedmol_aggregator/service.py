"""One run of a federation, served from the first site to the final model."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from fedmol import files
from fedmol.diffusion.census import Census
from fedmol.errors import Exit, FedmolError
from fedmol.events import EventLog
from fedmol.federation import algorithms
from fedmol.federation.assembly import denoiser_of, vocabulary_of
from fedmol.federation.certificates import CertificateFiles
from fedmol.federation.identity import digest, shared_settings
from fedmol.federation.messages import Agreement
from fedmol.federation.settings import Settings, dump
from fedmol.heartbeat import Heart
from fedmol.training.flat import flatten, manifest, unflatten_into
from fedmol.training.model_file import save_model
from fedmol_aggregator.book import RoundBook
from fedmol_aggregator.gate import Gate
from fedmol_aggregator.gathering import Gathering, Roster
from fedmol_aggregator.openfl_adapter import federation
from fedmol_aggregator.openfl_adapter.server import FederationServer
from fedmol_aggregator.presence import Presence
from fedmol_aggregator.rounds import RoundRule
from fedmol_aggregator.store import RoundStore

log = logging.getLogger("fedmol.aggregator")

MODEL_FILE = "model.safetensors"  # written last of all: with it the run is finished
_LINGER = 30.0  # seconds; Compose starts nobody who depends on a service that has ended before it was seen healthy


class Service:
    """Everything that a run needs, built from the settings and from whatever `work` holds of an earlier start."""

    def __init__(self, settings: Settings, run: str, work: Path, events: EventLog) -> None:
        self.settings, self.run, self.work, self.events = settings, run, work, events
        self.denoiser = denoiser_of(settings)
        self.layout = manifest(self.denoiser)
        self.store = RoundStore(work / "rounds", settings.rounds.keep_checkpoints)
        presence = Presence(settings.site_names, settings.rounds.lost_after, events)
        rule = RoundRule(settings.site_names, settings.quorum, settings.rounds.deadline, presence)
        algorithm, limit = algorithms.get(settings.algorithm), settings.rounds.max_update_norm_ratio
        self.book = RoundBook(events, self.store, algorithm, rule, limit)
        self.gathering = Gathering(settings, work / "agreement.json", events)
        roster = Roster(settings, run, vocabulary_of(settings), self.layout.digest)
        self.gate = Gate(roster, self.gathering, presence, rule, events)
        initial = flatten(self.denoiser)
        self._announce(initial.size, initial.nbytes)
        (work / "openfl").mkdir(parents=True, exist_ok=True)
        self.aggregator = federation.build(settings, run, initial, self.book, roster.site_of, work / "openfl")

    def serve(self, certificates: CertificateFiles, stop: threading.Event) -> None:
        """All rounds that are left.

        Raises:
            FedmolError: TERMINATED when `stop` was set first; see also `FederationServer.serve`.
        """
        if not self.aggregator.finished:
            address = f"{self.settings.network.listen}:{self.settings.network.port}"
            self.book.begin(self.aggregator.round_number + 1)
            log.info("run %s: serving %s, round %d", self.run, address, self.aggregator.round_number + 1)
            FederationServer(self.aggregator, self.gate, Heart(self.work), address, certificates).serve(stop)
        if not self.aggregator.finished:
            raise FedmolError(
                Exit.TERMINATED,
                f"the aggregator was asked to stop in round {self.aggregator.round_number + 1}",
                "start it again with the same arguments: the run goes on where it was",
            )

    def finish(self) -> None:
        """Log the outcome and write the model: that of the last round's checkpoint."""
        rounds = self.settings.training.rounds
        model, _, record = self.store.load(rounds)
        absent = sorted(set(self.settings.site_names) - set(record["sites"]))
        outcome = "quorum" if absent else "complete"
        self.events.write("run_finished", outcome=outcome, missing=absent, rounds=rounds, model_digest=record["digest"])
        unflatten_into(self.denoiser, model, self.layout)
        agreement = self.gathering.agreement
        assert isinstance(agreement, Agreement)
        save_model(
            self.work / MODEL_FILE,
            self.denoiser,
            preset=self.settings.model.preset,
            vocabulary_name=self.settings.model.vocabulary,
            census=Census.from_json(agreement.census),
            meta={"rounds": rounds, "digest": record["digest"]},
        )

    def _announce(self, parameters: int, model_bytes: int) -> None:
        self.events.write(
            "run_started",
            settings_digest=digest(shared_settings(self.settings)),
            sites=self.settings.site_names,
            quorum=self.settings.quorum,
            rounds=self.settings.training.rounds,
            parameters=parameters,
            model_bytes=model_bytes,
        )


def run(
    settings: Settings,
    run: str,
    certificates: CertificateFiles,
    work: Path,
    events: EventLog,
    stop: threading.Event,
) -> None:
    """Serve the run to its end, unless it is finished already."""
    if (work / MODEL_FILE).exists():
        log.info("run %s is finished: its model is %s", run, work / MODEL_FILE)
        Heart(work).beat_until(stop, _LINGER)
        return
    files.write_text(work / "settings.yaml", dump(settings))  # with it the folder is one that `fedmol report` reads
    service = Service(settings, run, work, events)
    service.serve(certificates, stop)
    service.finish()
