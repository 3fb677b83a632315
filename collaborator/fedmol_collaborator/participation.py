"""A site's part in one run: connect, be let in, bring the shard's counts, train until the run is over."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from pathlib import Path

import torch

from fedmol import files
from fedmol.data.shards import open_shard, shard_digest
from fedmol.diffusion.census import Census, NoiseModel
from fedmol.errors import Exit, FedmolError
from fedmol.events import EventLog
from fedmol.federation.assembly import denoiser_of, hardware_of, team_of, vocabulary_of
from fedmol.federation.certificates import CertificateFiles
from fedmol.federation.counts import counts_of
from fedmol.federation.identity import peer_name, shared_settings
from fedmol.federation.messages import Agreement, Joining, Progress, RoundOpening, Welcome
from fedmol.federation.settings import Settings
from fedmol.federation.versions import SEMANTICS
from fedmol.training.flat import manifest
from fedmol_collaborator.course import Course
from fedmol_collaborator.openfl_adapter import federation
from fedmol_collaborator.openfl_adapter.client import FederationClient
from fedmol_collaborator.pulse import Pulse
from fedmol_collaborator.site_store import SiteStore
from fedmol_collaborator.site_training import SiteTraining
from fedmol_collaborator.speed import seconds_per_step

log = logging.getLogger("fedmol.site")

_WAIT = 0.5  # seconds between two questions whether everyone is here
_TIMED_STEPS = 20  # to measure the speed by


@dataclass(frozen=True)
class Place:
    """Who takes part in what, and where its files are."""

    settings: Settings
    run: str
    site: str
    certificates: CertificateFiles
    shard: Path
    work: Path


def take_part(place: Place, events: EventLog, stop: threading.Event) -> None:
    """Train with the federation until the run is over; resumes whatever the working folder holds.

    Raises:
        FedmolError: with the exit code of whatever ended the site's part.
    """
    torch.set_num_threads(place.settings.training.threads)
    hardware_of(place.settings)  # what this machine lacks is said before the federation counts on the site
    hello = Progress(run=place.run, peer=peer_name(place.site), round=None, phase="connecting")
    pulse = Pulse(events, hello, lambda _: None)
    pulse.phase("connecting")
    client = federation.connect(place.settings, place.run, place.site, place.certificates, stop)
    introduction = _introduce(place)
    client.join(introduction)
    pulse.send = client.report
    pulse.start()
    try:
        training = _prepare(place, client, introduction, pulse, stop)

        def on_opening(opening: RoundOpening) -> None:
            training.course.learn(opening.changes)
            _note(events, opening, training.last_sent(opening.round))

        client.on_opening, client.known_changes = on_opening, lambda: training.course.known
        with training.team:
            federation.take_part(place.settings, place.run, place.site, client, training)
    except (FedmolError, OSError) as error:
        # A site that was asked to stop will be back; one that failed is not worth waiting for.
        stopped = isinstance(error, FedmolError) and error.exit is Exit.TERMINATED
        pulse.phase("stopped" if stopped else "failed")
        raise
    else:
        pulse.phase("finished")
    finally:
        pulse.stop()


def _note(events: EventLog, opening: RoundOpening, sent: int | None) -> None:
    """What the aggregator says of the round that opens, and of the update that the site sent last, in round `sent`."""
    counted = None if sent is None else opening.last_counted == sent
    events.write("round_opened", round=opening.round, model_digest=opening.model_digest, counted=counted)
    if counted is False:
        reason = opening.reason if sent == opening.round - 1 else "it came after the round was closed"
        log.warning("this site's update of round %d did not count: %s", sent, reason)
        events.write("update_not_counted", round=sent, reason=reason)


def _introduce(place: Place) -> Joining:
    """Who the site is and what it would train, before it opens its shard."""
    layout = manifest(denoiser_of(place.settings))
    return Joining(
        run=place.run,
        peer=peer_name(place.site),
        semantics=SEMANTICS,
        vocabulary=vocabulary_of(place.settings).digest(),
        manifest=layout.digest,
        payload=place.settings.strategy.payload(layout.size).digest,
        settings=shared_settings(place.settings),
    )


def _prepare(
    place: Place, client: FederationClient, introduction: Joining, pulse: Pulse, stop: threading.Event
) -> SiteTraining:
    """Open the shard, bring its counts to the federation's sum, and get ready to train."""
    settings, vocabulary = place.settings, vocabulary_of(place.settings)
    pulse.phase("reading shard")
    share, cache = settings.data.validation_share, place.work / "cache"
    shard = open_shard(place.shard, settings.data.column, vocabulary, share, cache)
    files.write_text(place.work / "card.json", shard.card.to_json())
    census = Census.take(shard.training, len(vocabulary.atoms), len(vocabulary.bonds), vocabulary.max_atoms)
    fitted = settings.training.budget_minutes is not None
    seconds = seconds_per_step(settings, shard.training, census, _TIMED_STEPS) if fitted else None
    pulse.phase("waiting for the others")
    digest = shard_digest(place.run, shard.training, shard.validation)
    counts = counts_of(census.to_json(), len(shard.training), seconds, digest)
    welcome, agreement = _wait_for_agreement(client, introduction.model_copy(update={"counts": counts}), stop)
    course = Course(place.run, settings, welcome.manifest, place.certificates.ca, pulse.events)
    course.take_up(welcome.changes)
    team = team_of(settings, NoiseModel.from_census(Census.from_json(agreement.census.model_dump())), shard.training)
    store = SiteStore(place.work / "state")
    return SiteTraining(settings, place.site, team, shard.validation, agreement.local_steps, course, store, pulse, stop)


def _wait_for_agreement(client: FederationClient, joining: Joining, stop: threading.Event) -> tuple[Welcome, Agreement]:
    while True:
        welcome = client.join(joining)
        if welcome.agreement is not None:
            return welcome, welcome.agreement
        stop.wait(_WAIT)
