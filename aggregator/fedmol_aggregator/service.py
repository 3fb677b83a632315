"""One run of a federation, served from the first site to the final model."""

from __future__ import annotations

import gc
import logging
import shutil
import threading
from collections import Counter
from pathlib import Path

from fedmol import files
from fedmol.diffusion.census import Census
from fedmol.errors import Exit, FedmolError
from fedmol.events import EventLog, read
from fedmol.federation.assembly import denoiser_of, reach, vocabulary_of
from fedmol.federation.certificates import CertificateFiles
from fedmol.federation.identity import digest, shared_settings
from fedmol.federation.messages import Agreement
from fedmol.federation.settings import Settings, dump
from fedmol.fl.account import uncounted
from fedmol.fl.engine import RoundEngine
from fedmol.fl.norms import Reach
from fedmol.fl.payload import MODEL, model_payload
from fedmol.fl.presence import Presence
from fedmol.fl.recovery import accounts
from fedmol.fl.rounds import RoundRule
from fedmol.fl.terms import Terms
from fedmol.heartbeat import Heart
from fedmol.training.flat import flatten, manifest, unflatten_into
from fedmol.training.model_file import load_model, save_model
from fedmol_aggregator.audit import Audit
from fedmol_aggregator.gate import Gate
from fedmol_aggregator.gathering import Gathering, Roster
from fedmol_aggregator.memory import give_back
from fedmol_aggregator.openfl_adapter.server import FederationServer

log = logging.getLogger("fedmol.aggregator")

MODEL_FILE = "model.safetensors"  # written last of all: with it the run is finished
_LINGER = 30.0  # seconds; Compose starts nobody who depends on a service that has ended before it was seen healthy


class Service:
    """Everything that a run needs, built from the settings and from whatever `work` holds of an earlier start."""

    def __init__(self, settings: Settings, run: str, work: Path, events: EventLog) -> None:
        self.settings, self.run, self.work, self.events = settings, run, work, events
        denoiser = denoiser_of(settings)
        self.layout = manifest(denoiser)
        payload = model_payload(self.layout.size)
        _refuse_a_lost_log(work, events)
        presence = Presence(settings.site_names, settings.rounds.lost_after, events)
        rounds = settings.rounds
        rule = RoundRule(settings.site_names, settings.quorum, rounds.deadline, presence, rounds.grace)
        self.gathering = Gathering(settings, work / "agreement.json", events)
        roster = Roster(settings, run, vocabulary_of(settings), self.layout.digest, payload.digest)
        self.gate = Gate(roster, self.gathering, presence, rule, Audit(events), events)
        terms = Terms(
            payload=payload,
            rounds=settings.training.rounds,
            strategy=settings.strategy,
            largest_share=rounds.max_share,
            norm_ratio=rounds.max_update_norm_ratio,
            reach=self._reach,
            molecules=self.gathering.molecules,
        )
        self._announce(self.layout.size, payload.nbytes)
        self.engine = RoundEngine(terms, {MODEL: flatten(denoiser)}, rule, work, rounds.keep_checkpoints, events)

    def serve(self, certificates: CertificateFiles, stop: threading.Event) -> None:
        """All rounds that are left.

        Raises:
            FedmolError: TERMINATED when `stop` was set first; see also `FederationServer.serve`.
        """
        if not self.engine.finished:
            network = self.settings.network
            address = f"{network.listen}:{network.port}"
            self.engine.begin()
            log.info("run %s: serving %s, round %d", self.run, address, self.engine.round)
            heart, longest = Heart(self.work), network.call_deadline
            gc.collect()
            give_back()
            gc.freeze()  # what was imported stays: looking through it again and again is a tenth of a round's time
            FederationServer(self.engine, self.gate, heart, address, certificates, longest).serve(stop)
        if not self.engine.finished:
            raise FedmolError(
                Exit.TERMINATED,
                f"the aggregator was asked to stop in round {self.engine.round}",
                "start it again with the same arguments: the run goes on where it was",
            )

    def finish(self) -> None:
        """Log the outcome, and write the model: that of the last round."""
        rounds, digest = self.settings.training.rounds, self.engine.model_digest
        absent = {number: uncounted(account) for number, account in accounts(self.events.path).items()}
        missed = Counter(site for sites in absent.values() for site in sites)
        if not any(event.kind == "run_finished" for event in read(self.events.path)):
            self.events.write(
                "run_finished",
                outcome="quorum" if missed else "complete",
                missing=absent[rounds],
                missed_rounds=dict(sorted(missed.items())),
                rounds=rounds,
                model_digest=digest,
            )
        denoiser = denoiser_of(self.settings)  # not kept while serving: it is as large as the model
        unflatten_into(denoiser, self.engine.sections[MODEL], self.layout)
        agreement = self.gathering.agreement
        assert isinstance(agreement, Agreement)
        save_model(
            self.work / MODEL_FILE,
            denoiser,
            preset=self.settings.model.preset,
            vocabulary_name=self.settings.model.vocabulary,
            census=Census.from_json(agreement.census),
            meta={"rounds": rounds, "digest": digest},
        )

    def _reach(self, round: int) -> Reach:
        agreement = self.gathering.agreement
        assert agreement is not None
        return reach(self.settings, agreement.local_steps, self.layout.size, round)

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


def _refuse_a_lost_log(work: Path, events: EventLog) -> None:
    """State without the log that tells of it is another run's, or a log was lost."""
    state = [work / "agreement.json", *sorted(work.glob("rounds/*")), *sorted(work.glob("uploads/round-*"))]
    kept = [path for path in state if path.exists()]
    if kept and not any(event.kind == "run_started" for event in read(events.path)):
        raise FedmolError(
            Exit.STATE_UNUSABLE,
            f"{events.path} does not know of the run that left {kept[0].name} in this folder",
            "restore the event log from a backup, or start a new run in an empty folder",
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
    for folder in (work, work / "rounds"):
        files.remove_unfinished(folder)
    if _is_finished(run, work, events):
        log.info("run %s is finished: its model is %s", run, work / MODEL_FILE)
        _forget_uploads(work)
        Heart(work).beat_until(stop, _LINGER)
        return
    files.write_text(work / "settings.yaml", dump(settings))  # with it the folder is one that `fedmol report` reads
    service = Service(settings, run, work, events)
    service.serve(certificates, stop)
    service.finish()
    log.info("run %s is finished: its model is %s", run, work / MODEL_FILE)
    _forget_uploads(work)


def _is_finished(run: str, work: Path, events: EventLog) -> bool:
    """Whether the final model is there, the one that the log names. A damaged one is made again from the last round.

    Raises:
        FedmolError: STATE_UNUSABLE when the folder is another run's.
    """
    path, logged = work / MODEL_FILE, list(read(events.path))
    others = {event.run for event in logged} - {run}
    if others:
        raise FedmolError(
            Exit.STATE_UNUSABLE,
            f"{work} is the working folder of run {min(others)!r}, not of {run!r}",
            "name the run that the folder belongs to, or give the new run an empty folder",
        )
    if not path.exists():
        return False
    said = [event.fields["model_digest"] for event in logged if event.kind == "run_finished"]
    try:
        found = load_model(path).meta.get("digest")
        if said and found == said[-1]:
            return True
        what = "it is not the model that the event log names"
    except FedmolError as damage:
        what = damage.message
    events.write("state_damaged", file=str(path), detail=what)
    return False


def _forget_uploads(work: Path) -> None:
    """The sites' own models are kept no longer than a damaged round could be made again from them."""
    shutil.rmtree(work / "uploads", ignore_errors=True)
