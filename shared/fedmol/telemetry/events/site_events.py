"""The sites: how they come in, what they agree on, what they do, and how they fail."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fedmol.formats import duration
from fedmol.telemetry.events.event_record import Record, Repeated
from fedmol.telemetry.events.field_types import (
    Count,
    Counts,
    Digest,
    Digests,
    Histogram,
    Name,
    Number,
    Numbers,
    Seconds,
    Text,
    Times,
)


class Histograms(Record):
    """How many atoms and bonds of each type there are, and molecules of each size."""

    atoms: Histogram = []
    bonds: Histogram = []
    sizes: Histogram = []


class SiteJoined(Record, kind="site_joined"):
    """A site has brought its counts."""

    molecules: Count  # to train on
    census: Histograms = Histograms()


class AgreementReached(Record, kind="agreement"):
    """All sites train by this from now on."""

    molecules: Counts  # to train on
    weights: Numbers  # of the sites, by their molecules
    local_steps: Count  # of each site in a round
    census: Histograms = Histograms()  # of all sites together
    shards: Digests = {}


class AgreementAccepted(Record, kind="agreed"):
    """In a site's log: the agreement as the site was told it."""

    local_steps: Count  # of each site in a round
    census: Digest
    molecules: Counts
    shards: Digests


class PhaseEntered(Record, kind="phase"):
    """In a site's log: it goes on with the phase of its work that the head names."""


class Training(Record):
    """What a site says of its work; nobody else measures it."""

    step: Count = 0  # of the round
    steps: Count = 0  # that the round has
    loss: Number = None  # of the step
    molecules_per_second: Number = None
    seconds_left: Seconds = None  # of the round's training


class SiteProgress(Training, kind="site_progress"):
    """A sign of life, with the phase in the head. Of those of one phase only a few are logged."""

    model_digest: Digest | None = None  # of the final model, once the site has it


class TrainingStep(Training, kind="training_step", of_a_round=True):
    """In a site's log: one of the steps of training. About every two seconds one is logged."""


class SiteLost(Record, kind="site_lost", incident="site lost"):
    """A site was silent for too long, and is not waited for any more."""

    silent_seconds: Seconds

    def words(self) -> str:
        return f"silent for {duration(self.silent_seconds)}, then given up"


class SiteReturned(Record, kind="site_returned", incident="site back"):
    """A site that was lost is heard of again."""


class SiteHung(Record, kind="site_hung", incident="site hung"):
    """In a site's log: its own watchdog has found that its work makes no progress."""

    seconds: Seconds = None  # without any movement
    detail: Text = ""

    def words(self) -> str:
        return self.detail or "its work makes no progress"


class SiteRefused(Repeated, kind="site_refused", incident="peer refused"):
    """A caller was refused, who may be nobody's site."""

    reason: Name  # the exit's slug
    detail: Text = ""

    def words(self) -> str:
        return f"{self.reason}: {self.detail}"


class MessageSent(Record, kind="message_sent"):
    """In a site's log: messages that left it and hold the same fields, since the last such event."""

    call: Name  # of the aggregator's interface
    times: Times
    bytes: Count  # of all of them
    holds: Annotated[list[Name], Field(max_length=100)]  # names of fields
