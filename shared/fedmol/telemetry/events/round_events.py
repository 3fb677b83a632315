"""The rounds: what each opens with, what is sent and received in it, and its account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from fedmol.telemetry.events.event_record import Record, Repeated
from fedmol.telemetry.events.field_types import (
    Count,
    Counts,
    Digest,
    Digests,
    Name,
    Names,
    Number,
    Numbers,
    Seconds,
    Text,
)


class RoundStarted(Record, kind="round_started", of_a_round=True):
    """The round is open."""


class UpdateReceived(Record, kind="update_received", of_a_round=True):
    """A site's update is here, whole."""

    molecules: Count  # that the site trains on
    bytes: Count  # of the payload that was agreed on
    norm: Number  # of what it moves the model by


class UpdateRefused(Repeated, kind="update_refused", incident="update refused"):
    """What a site sent is not what was agreed."""

    reason: Text

    def words(self) -> str:
        return self.reason


class UpdateLate(Repeated, kind="update_late", incident="update came too late"):
    """It came when its round, which the head names, was closed."""

    def words(self) -> str:
        return "it was not counted"


class UpdateNotCounted(Record, kind="update_not_counted", incident="update did not count"):
    """An update was left out. The aggregator's log has the numbers, the site's the reason that it was told."""

    section: Name = "model"  # that moved too far
    norm: Number = None  # of its change
    limit: Number = None  # on the norm
    reason: Text | None = None

    def words(self) -> str:
        if self.norm is None or self.limit is None:
            return self.reason or ""
        return f"it moved the {self.section} by {self.norm:.4g}, the limit was {self.limit:.4g}"


class SectionChanges(Record):
    """How far a section beside the model was changed, see `fedmol.fl.section_shares`."""

    norms: Numbers  # of each site's last change that counted
    total: Number  # sum over the rounds
    before: Numbers  # that sum when each site counted last


class RoundFinished(Record, kind="round_finished", of_a_round=True):
    """The account of a round, see `fedmol.fl.round_account`."""

    sites: Names  # whose updates counted
    weights: Numbers  # of their updates; together they are 1
    missing: Names  # they did not report in time
    excluded: Names = []  # they reported, but moved too far
    moves: Numbers = {}  # see `fedmol.fl.update_norms`
    last_counted: Counts = {}  # round in which each site counted last
    seconds: Seconds  # that the round took
    seconds_outside_training: Seconds = None  # beside the slowest site's own work
    aggregator_cpu_seconds: Seconds = None
    loss: Number  # weighted mean over the sites
    nll: Number  # of the model that entered the round; nats per molecule
    site_loss: Numbers
    site_nll: Numbers
    model_digest: Digest  # of the model that leaves the round
    digests: Digests = {}  # of the sections beside the model
    shares: Numbers = {}  # in them, of all members
    members_since: Count = 1  # the first round of these members with these shares
    changes: Annotated[Mapping[Name, SectionChanges], Field(max_length=16)] = {}  # by section


class RoundOpened(Record, kind="round_opened"):
    """In a site's log: the round as it was opened for the site."""

    model_digest: Digest  # of the model that enters the round
    digests: Digests = {}  # of all sections
    counted: bool | None  # whether the update that the site sent last did


class LogAnchored(Record, kind="log_anchored", of_a_round=True):
    """In a site's log: what the aggregator has signed of its own when the round was over; `fedmol.fl.log_anchors`."""

    log_seq: Count  # of the line, in the aggregator's log, that closes the round
    head: Digest  # of that line
    model_digest: Digest  # of the model that left the round
    certificate: Annotated[str, Field(max_length=2**14)]  # the aggregator's, in PEM form
    signature: Annotated[str, Field(max_length=2**10)]  # hex


class RoundModelReceived(Record, kind="received", of_a_round=True):
    """In a site's log: the model that enters the round is here."""

    bytes: Count


class ModelValidated(Record, kind="validated", of_a_round=True):
    """In a site's log: the model was measured on the site's validation molecules."""

    nll: Number  # of the model that entered the round; nats per molecule


class TensorSent(Record):
    """One tensor of an update."""

    name: Name
    shape: Annotated[list[Count], Field(max_length=8)]
    bytes: Count


class UpdateSent(Record, kind="sent", of_a_round=True):
    """In a site's log: an update that is trained, and about to leave the site."""

    tensors: Annotated[list[TensorSent], Field(max_length=1000)]
    bytes: Count
