"""One run of a federation, served from the first site to the final model."""

from __future__ import annotations

import gc
import logging
import math
import shutil
import threading
from collections import Counter
from typing import Any

from fedmol import files
from fedmol.errors import Exit, FedmolError
from fedmol.fl.checkpoints import Checkpoint
from fedmol.fl.engine import RoundEngine
from fedmol.fl.federation import Settings, dump
from fedmol.fl.liveness import AwakeClock, Liveness
from fedmol.fl.messages import Agreement
from fedmol.fl.payload import MODEL
from fedmol.fl.recovery import accounts
from fedmol.fl.round_account import uncounted
from fedmol.fl.rounds import RoundRule, Terms
from fedmol.fl.update_norms import Reach
from fedmol.heartbeat import Heart
from fedmol.names import endpoint
from fedmol.pki.certificates import CertificateFiles
from fedmol.run_folder import RunFolder
from fedmol.telemetry import queries
from fedmol.telemetry.events.run_events import ClockStopped, RunFinished, RunStarted, StateDamaged
from fedmol.telemetry.log import EventLog
from fedmol.training.assembly import denoiser_of, extensions, reach, save_final_model, vocabulary_of
from fedmol.training.model_file import TrainedModel, load_model
from fedmol.training.parameter_vector import flatten, manifest
from fedmol_aggregator.deliveries import Deliveries
from fedmol_aggregator.enrollment import Enrollment, Roster
from fedmol_aggregator.log_signer import LogSigner
from fedmol_aggregator.malloc import give_back
from fedmol_aggregator.openfl_adapter.server import FederationServer
from fedmol_aggregator.peer_checks import PeerChecks
from fedmol_aggregator.refusal_log import RefusalLog
from fedmol_aggregator.signed_changes import RunChanges

log = logging.getLogger("fedmol.aggregator")

_LINGER = 30.0  # seconds; Compose starts nobody who depends on a service that has ended before it was seen healthy


class Service:
    """Everything that a run needs, built from the settings and from whatever `work` holds of an earlier start."""

    def __init__(
        self, settings: Settings, run: str, certificates: CertificateFiles, work: RunFolder, events: EventLog
    ) -> None:
        self.run, self.certificates, self.work, self.events = run, certificates, work, events
        _refuse_a_lost_log(work, events)
        self.course = RunChanges(run, settings, work.changes, certificates.ca, events)
        self.settings = self.course.changes.settings  # as the run was begun
        self.network, self.farewell, latest = settings.network, settings.rounds.farewell, self.course.changes.latest
        keep = settings.rounds.keep_checkpoints
        denoiser = denoiser_of(settings)
        self.layout = manifest(denoiser)
        payload = settings.strategy.payload(self.layout.size)
        self.clock = AwakeClock(lambda seconds: events.write(ClockStopped(seconds=round(seconds, 1))))
        self.liveness = Liveness(latest.site_names, latest.rounds.lost_after, events, self.clock)
        rounds = latest.rounds
        rule = RoundRule(
            latest.site_names, latest.quorum, rounds.deadline, self.liveness, rounds.grace, clock=self.clock
        )
        self.enrollment = Enrollment(self.settings, work.agreement, events, self.clock)
        self.roster = Roster(self.settings, run, vocabulary_of(settings), self.layout.digest, payload.digest)
        self.peer_checks = PeerChecks(
            self.roster,
            self.enrollment,
            self.liveness,
            rule,
            RefusalLog(events),
            events,
            self.course.changes,
            LogSigner(certificates).anchor,
        )
        self.deliveries = Deliveries(events)
        terms = Terms(
            payload=payload,
            rounds=latest.training.rounds,
            strategy=self.settings.strategy,
            largest_share=rounds.max_share,
            norm_ratio=rounds.max_update_norm_ratio,
            reach=self._reach,
            molecules=self.enrollment.molecules,
        )
        self._logged_digest = _logged_digest(events)
        if self._logged_digest is None:  # a finished run is served again, and nothing begins by that
            self._announce(self.layout.size, payload.nbytes)
        initial, final = payload.begin(flatten(denoiser)), self._final(terms.rounds)
        self._model_is_kept = final is not None
        self.engine = RoundEngine(terms, initial, rule, work, keep, events, final)
        self.engine.before_round = self._put_in_force
        self.enrollment.on_other_shard = self.engine.forget
        self._put_in_force(self.engine.round)

    def serve(self, stop: threading.Event, stay: bool) -> None:
        """All rounds that are left, and the final model to everybody who lacks it: for ever with `stay`.

        Raises:
            FedmolError: TERMINATED when `stop` was set before the last round was done, or, without `stay`, before all
                held the model; see also `FederationServer`.
        """
        late = self.engine.finished
        if not late:
            self.engine.begin()
        address = endpoint(self.network.listen, self.network.port)
        log.info("run %s: serving %s, %s", self.run, address, "finished" if late else f"round {self.engine.round}")
        server = FederationServer(
            self.engine,
            self.peer_checks,
            self.deliveries,
            Heart(self.work.path),
            self.clock,
            address,
            self.certificates,
            self.network.call_deadline,
        )
        gc.collect()
        give_back()
        gc.freeze()  # what was imported stays: looking through it again and again is a tenth of a round's time
        with server.serving():
            server.play(stop, self._take_changes)
            if not self.engine.finished:
                raise FedmolError(
                    Exit.TERMINATED,
                    f"the aggregator was asked to stop in round {self.engine.round}",
                    "start it again with the same arguments: the run continues where it was",
                )
            self.finish()
            missing = server.hand_out(stop, _LINGER if late else 0.0, math.inf if stay else self.farewell)
            if missing and stop.is_set() and not stay:
                raise FedmolError(
                    Exit.TERMINATED,
                    f"the aggregator was asked to stop before it was told that {', '.join(sorted(missing))} "
                    "had the final model",
                    "start it again with the same arguments: it hands the model out",
                )

    def finish(self) -> None:
        """Log the outcome, and write the model: that of the last round. What has been done is not done again."""
        rounds, digest = self.engine.terms.rounds, self.engine.model_digest
        absent = {number: uncounted(account) for number, account in accounts(self.events.path).items()}
        missed = Counter(site for sites in absent.values() for site in sites)
        if self._logged_digest is None:
            self.events.write(
                RunFinished(
                    outcome="quorum" if missed else "complete",
                    missing=absent[rounds],
                    missed_rounds=dict(sorted(missed.items())),
                    rounds=rounds,
                    model_digest=digest,
                )
            )
        if not self._model_is_kept:
            path = self.work.model
            save_final_model(path, self.settings, self._agreement(), self.engine.sections[MODEL], rounds)
        log.info("run %s is finished: its model is %s", self.run, self.work.model)
        _forget_uploads(self.work)

    def _final(self, rounds: int) -> Checkpoint | None:
        """What a finished run has left, from its model; None where the run, or the model, is not finished."""
        model = self._kept_model()
        if model is None:
            return None
        account = accounts(self.events.path)[rounds]
        return Checkpoint({MODEL: flatten(model.denoiser)}, {}, rounds, account)

    def _kept_model(self) -> TrainedModel | None:
        """The final model, if it is there and the one that the log names. A damaged one is made again."""
        path, said = self.work.model, self._logged_digest
        if said is None or not path.exists():
            return None
        try:
            model = load_model(path)
            if model.meta.get("digest") == said:
                return model
            what = "it is not the model that the event log names"
        except FedmolError as damage:
            what = damage.message
        self.events.write(StateDamaged(file=str(path), detail=what))
        return None

    def _put_in_force(self, round: int) -> None:
        """What the changes say that holds in `round`, which opens, or is open."""
        changes = self.course.changes
        now, latest = changes.at(round), changes.latest
        members = {*now.site_names, *latest.site_names}  # who is to come may join and wait
        self.roster.expect(members, changes.everybody - members)
        self.liveness.expect(now.site_names, now.rounds.lost_after)
        self.enrollment.expect(now, changes.accepted_shards(round))
        rules = now.rounds
        self.engine.amend(latest.training.rounds, now.site_names, now.quorum, rules.deadline, rules.grace)

    def _take_changes(self) -> None:
        if self.course.collect(self.engine.round):
            self._put_in_force(self.engine.round)

    def _reach(self, round: int) -> Reach:
        steps = self._agreement().local_steps
        longer = extensions(self.course.changes.lengths, steps)
        return reach(self.settings.training, steps, self.layout.size, round, longer)

    def _agreement(self) -> Agreement:
        agreement = self.enrollment.agreement
        assert agreement is not None  # no round has been played without
        return agreement

    def _announce(self, parameters: int, model_bytes: int) -> None:
        latest = self.course.changes.latest
        bound: dict[str, Any] = {"manifest": self.course.changes.manifest} if self.course.is_new else {}
        self.events.write(
            RunStarted(
                **bound,
                sites=latest.site_names,
                quorum=latest.quorum,
                rounds=latest.training.rounds,
                parameters=parameters,
                model_bytes=model_bytes,
            )
        )


def _logged_digest(events: EventLog) -> str | None:
    """The final model's digest, once the log says that the run is finished."""
    finished = queries.last(events.path, RunFinished)
    return None if finished is None else finished.body.model_digest


def _refuse_a_lost_log(work: RunFolder, events: EventLog) -> None:
    """State without the log that tells of it is another run's, or a log was lost."""
    state = [work.agreement, *sorted(work.rounds.glob("*")), *sorted(work.uploads.glob("round-*"))]
    kept = [path for path in state if path.exists()]
    if kept and queries.first(events.path, RunStarted) is None:
        raise FedmolError(
            Exit.STATE_UNUSABLE,
            f"{events.path} does not know of the run that left {kept[0].name} in this folder",
            "restore the event log from a backup, or start a new run in an empty folder",
        )


def run(
    settings: Settings,
    run: str,
    certificates: CertificateFiles,
    work: RunFolder,
    events: EventLog,
    stop: threading.Event,
    stay: bool,
) -> None:
    """Serve the run to its end, and its model to whoever lacks it."""
    for folder in (work.path, work.rounds):
        files.remove_unfinished(folder)
    service = Service(settings, run, certificates, work, events)
    files.write_text(work.settings, dump(settings), 0o600)
    service.serve(stop, stay)


def _forget_uploads(work: RunFolder) -> None:
    """The sites' own models are kept no longer than a damaged round could be made again from them."""
    shutil.rmtree(work.uploads, ignore_errors=True)
