"""A site's part in one run: connect, be let in, bring the shard's counts, train until the run is over."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from pathlib import Path

import torch

from fedmol import files
from fedmol.chem.standardise import coding_digest
from fedmol.data.shards import open_shard, shard_digest
from fedmol.diffusion.census import Census
from fedmol.diffusion.noise_model import NoiseModel
from fedmol.errors import Exit, FedmolError
from fedmol.fl.count_checks import counts_of
from fedmol.fl.federation import Settings
from fedmol.fl.identity import peer_name, shared_settings
from fedmol.fl.messages import Agreement, Joining, Progress, RoundOpening, Welcome
from fedmol.fl.versions import SEMANTICS
from fedmol.pki.certificates import CertificateFiles
from fedmol.run_folder import RunFolder
from fedmol.telemetry.events.round_events import RoundOpened, UpdateNotCounted
from fedmol.telemetry.events.run_events import StateDamaged
from fedmol.telemetry.log import EventLog
from fedmol.training.assembly import denoiser_of, hardware_of, trainer_of, vocabulary_of
from fedmol.training.parameter_vector import manifest
from fedmol_collaborator import agreement_checks, run_end
from fedmol_collaborator.agreement_checks import Own
from fedmol_collaborator.known_anchors import KnownAnchors
from fedmol_collaborator.known_changes import KnownChanges
from fedmol_collaborator.openfl_adapter import collaborator
from fedmol_collaborator.openfl_adapter.client import FederationClient
from fedmol_collaborator.outbound_log import OutboundLog
from fedmol_collaborator.progress_reporter import ProgressReporter
from fedmol_collaborator.run_end import RunEnd
from fedmol_collaborator.site_state import SiteState
from fedmol_collaborator.site_training import SiteTraining
from fedmol_collaborator.step_benchmark import seconds_per_step
from fedmol_collaborator.task_checks import TaskChecks, broken
from fedmol_collaborator.watchdog import FIRST, Watchdog

log = logging.getLogger("fedmol.site")

_WAIT = 0.5  # seconds between two questions whether everyone is here
_TELL_FOR = 60.0  # seconds that a site tries to say that it holds the final model, after a restart
_SLOWEST_READING = 10_000.0  # bytes of a shard a second
_TIMED_STEPS = 20  # to measure the speed by


@dataclass(frozen=True)
class Place:
    """Who takes part in what, and where its files are."""

    settings: Settings
    run: str
    site: str
    certificates: CertificateFiles
    shard: Path
    work: RunFolder
    new_shard: bool = False  # other molecules than the run began with are meant
    start_over: bool = False  # the state of earlier rounds is lost, and the site goes on without


def take_part(place: Place, events: EventLog, watch: Watchdog, stop: threading.Event) -> str:
    """Train with the federation until the run is over; resumes whatever the working folder holds.

    Returns the digest of the final model, which is then in the working folder.

    Raises:
        FedmolError: with the exit code of whatever ended the site's part.
    """
    before = run_end.run_end_of(place.work, place.run)
    if before.damage is not None:
        log.warning("%s; it is fetched again", before.damage)
        events.write(StateDamaged(file=str(place.work.model), detail=before.damage))
    try:
        return _take_part(place, before, events, watch, stop)
    except FedmolError as error:
        if error.exit is not Exit.AGGREGATOR_UNREACHABLE:
            raise
        if before.held is not None:
            log.warning("%s; this site holds the final model", error.message)
            return before.held
        if before.damage is not None:
            raise _without_the_model(before.damage, error) from None
        raise


def _take_part(place: Place, before: RunEnd, events: EventLog, watch: Watchdog, stop: threading.Event) -> str:
    torch.set_num_threads(place.settings.training.threads)
    # What this machine lacks is reported before the federation counts on the site.
    hardware_of(place.settings.training, place.settings.model)
    hello = Progress(run=place.run, peer=peer_name(place.site), round=None, phase="connecting")
    reporter = ProgressReporter(events, hello, lambda *_: None, watch)
    reporter.phase("connecting")
    payload = place.settings.strategy.payload(manifest(denoiser_of(place.settings)).size)
    outbound_log = OutboundLog(events.write)
    network = place.settings.network
    if before.held is not None:
        network = network.model_copy(update={"give_up_after": min(network.give_up_after, _TELL_FOR)})
    client = collaborator.connect(
        network, place.run, place.site, place.certificates, payload, outbound_log, watch, stop
    )
    introduction = _introduce(place)
    client.join(introduction)
    reporter.send = client.report
    reporter.start()
    try:
        training, agreement = _prepare(place, client, introduction, reporter, stop)
        course, task_checks = training.course, TaskChecks(lambda: training.course.rounds, events)
        anchors = KnownAnchors(place.run, network.address, place.certificates.ca, events)

        def on_opening(opening: RoundOpening) -> None:
            course.learn(opening.changes)
            task_checks.open(opening)
            if not place.start_over:
                _require_state(place.work.path, opening, training.last_sent(opening.round))
            anchors.take(opening)
            training.opening = opening
            _note(events, opening, opening.round <= course.rounds, training.last_sent(opening.round))

        client.task_checks, client.on_opening, client.known_changes = task_checks, on_opening, lambda: course.known
        with training.trainer:
            collaborator.take_part(place.settings, place.run, place.site, client, training)
        return _finish(place, client, agreement, course.rounds, before, reporter)
    except (FedmolError, OSError) as error:
        # A site that was asked to stop will be back; one that failed is not worth waiting for.
        stopped = isinstance(error, FedmolError) and error.exit is Exit.TERMINATED
        reporter.phase("stopped" if stopped else "failed")
        raise
    finally:
        reporter.stop()
        outbound_log.flush()


def _finish(
    place: Place,
    client: FederationClient,
    agreement: Agreement,
    rounds: int,
    before: RunEnd,
    reporter: ProgressReporter,
) -> str:
    """Hold the final model, and say so to the aggregator; the model's digest.

    Raises:
        FedmolError: AGREEMENT_BROKEN when the model is not the one that was said to be, now or before.
    """
    opening = client.opening
    assert opening is not None  # the run is over because it said so
    digest = opening.model_digest
    if before.model_digest not in (None, digest):
        raise broken(f"the final model {digest[:12]} to be taken", f"{before.model_digest[:12]}, said before")
    if before.held is None:
        reporter.phase("receiving model")
        run_end.keep(place.work, place.settings, agreement, client.final_model(rounds), rounds, reporter.events)
    reporter.phase("finished", model_digest=digest)
    try:
        client.tell(reporter.progress)
    except FedmolError as error:
        if error.exit is not Exit.AGGREGATOR_UNREACHABLE:
            raise
        log.warning("%s; this site holds the final model", error.message)
    return digest


def _without_the_model(damage: str, error: FedmolError) -> FedmolError:
    return FedmolError(
        Exit.STATE_UNUSABLE,
        f"the run is over, {damage}, and it cannot be fetched again: {error.message}",
        "have the aggregator started once more, or take the file from a backup, the coordinator or another site",
    )


def _require_state(work: Path, opening: RoundOpening, sent: int | None) -> None:
    """Without what it did before, the site would train another model than the federation counts on.

    Raises:
        FedmolError: STATE_UNUSABLE when an update counted of which the folder knows nothing.
    """
    counted = opening.last_counted
    if counted is not None and counted > (sent or 0):
        raise FedmolError(
            Exit.STATE_UNUSABLE,
            f"{work} holds nothing of round {counted}, in which an update of this site counted",
            "restore the folder from a backup; if it is lost, start with --start-over, with a fresh optimiser",
        )


def _note(events: EventLog, opening: RoundOpening, open: bool, sent: int | None) -> None:
    """What the aggregator says of the round that opens, and of the update that the site sent last, in round `sent`.

    After the last round none is `open`.
    """
    counted = None if sent is None else opening.last_counted == sent
    if open:
        events.write(
            RoundOpened(model_digest=opening.model_digest, digests=opening.digests, counted=counted),
            round=opening.round,
        )
    events.sync()  # by it the site knows what it was asked for, and told of the round before
    if counted is False:
        reason = opening.reason if sent == opening.round - 1 else "it came after the round was closed"
        log.warning("this site's update of round %d did not count: %s", sent, reason)
        events.write(UpdateNotCounted(reason=reason), round=sent)


def _introduce(place: Place) -> Joining:
    """Who the site is and what it would train, before it opens its shard."""
    layout = manifest(denoiser_of(place.settings))
    return Joining(
        run=place.run,
        peer=peer_name(place.site),
        semantics=SEMANTICS,
        vocabulary=coding_digest(vocabulary_of(place.settings)),
        manifest=layout.digest,
        payload=place.settings.strategy.payload(layout.size).digest,
        settings=shared_settings(place.settings),
    )


def _prepare(
    place: Place,
    client: FederationClient,
    introduction: Joining,
    reporter: ProgressReporter,
    stop: threading.Event,
) -> tuple[SiteTraining, Agreement]:
    """Open the shard, bring its counts to the federation's sum, and get ready to train."""
    settings, vocabulary = place.settings, vocabulary_of(place.settings)
    reporter.phase("reading shard")
    reporter.watch.enter("reading shard", least=_longest_reading(place.shard))
    share, cache = settings.data.validation_share, place.work.cache
    shard = open_shard(place.shard, settings.data.column, vocabulary, share, cache)
    files.write_text(place.work.card, shard.card.to_json(), 0o600)
    census = Census.take(shard.training, len(vocabulary.atoms), len(vocabulary.bonds), vocabulary.max_atoms)
    reporter.watch.enter("measuring the speed")
    fitted = settings.training.budget_minutes is not None
    seconds = seconds_per_step(settings, shard.training, census, _TIMED_STEPS) if fitted else None
    reporter.phase("waiting for the others")
    digest = shard_digest(place.run, shard.training, shard.validation)
    census = census.raised(settings.data.least_count)
    counts = counts_of(census.to_json(), len(shard.training), seconds, digest)
    if not place.new_shard:
        agreement_checks.require_same_shard(place.site, counts, reporter.events)
    late = client.join(introduction).agreement is not None  # now: the others may have agreed meanwhile
    welcome, agreement = _wait_for_agreement(client, introduction.model_copy(update={"counts": counts}), stop)
    course = KnownChanges(place.run, settings, welcome.manifest, place.certificates.ca, reporter.events)
    course.take_up(welcome.changes)
    accepted = course.changes.accepted_shards(course.rounds)
    agreement_checks.check(agreement, Own(place.site, counts, late), settings, reporter.events, accepted)
    trainer = trainer_of(
        settings, NoiseModel.from_census(Census.from_json(agreement.census.model_dump())), shard.training
    )
    store = SiteState(place.work.state)
    steps = agreement.local_steps
    return SiteTraining(
        settings, place.site, trainer, shard.validation, steps, course, store, reporter, stop
    ), agreement


def _longest_reading(shard: Path) -> float:
    size = shard.stat().st_size if shard.exists() else 0
    return FIRST + size / _SLOWEST_READING


def _wait_for_agreement(client: FederationClient, joining: Joining, stop: threading.Event) -> tuple[Welcome, Agreement]:
    while True:
        welcome = client.join(joining)
        if welcome.agreement is not None:
            return welcome, welcome.agreement
        stop.wait(_WAIT)
