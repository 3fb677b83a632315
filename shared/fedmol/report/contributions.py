"""What each site put in, what its work counted, and what left it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from fedmol.data.card import DataCard
from fedmol.report.run_record import RunRecord, SiteRecord
from fedmol.telemetry.log import Event


@dataclass(frozen=True)
class TensorSent:
    """One tensor as it left, and how often."""

    name: str
    shape: tuple[int, ...]
    bytes: int
    times: int


@dataclass(frozen=True)
class SiteAccount:
    name: str
    joined: bool
    moves: list[str]  # see `Course.moves`
    molecules: int | None  # that it trains on
    share: float | None  # of all molecules that were joined with
    weights: list[float]  # one per round in which its update counted
    missed: list[int]  # rounds
    loss: float | None  # of its last round
    card: DataCard | None
    counts: int | None  # numbers in the histograms that it told before round 1
    sent: list[TensorSent] | None  # None: the site's own log is not in this folder
    sent_bytes: int
    sent_rounds: int
    sent_times: int
    received_bytes: int | None


def accounts(record: RunRecord) -> list[SiteAccount]:
    """One per site that was in the run, in the order of the settings, those that were added after them."""
    return [_account(record, site) for site in record.sites]


def _account(record: RunRecord, site: SiteRecord) -> SiteAccount:
    joined = [event for event in record.of_kind("site_joined") if event.site == site.name]
    molecules = record.said("agreement", "molecules", {}).get(site.name)
    if molecules is None and joined:
        molecules = joined[-1].fields.get("molecules")
    sent = [event for event in site.events if event.kind == "sent"]
    received = [event for event in site.events if event.kind == "received"]
    uploads = sent or [event for event in record.of_kind("update_received") if event.site == site.name]
    losses = [one.site_loss[site.name] for one in record.rounds if site.name in one.site_loss]
    return SiteAccount(
        name=site.name,
        joined=bool(joined),
        moves=record.course.moves(site.name),
        molecules=molecules,
        share=record.said("agreement", "weights", {}).get(site.name),
        weights=[one.weights[site.name] for one in record.rounds if site.name in one.weights],
        missed=[one.number for one in record.rounds if site.name in one.missing],
        loss=losses[-1] if losses else None,
        card=site.card,
        counts=_numbers(joined[-1].fields.get("census")) if joined else None,
        sent=_tensors(sent) if site.events else None,
        sent_bytes=sum(event.fields.get("bytes", 0) for event in uploads),
        sent_rounds=len({event.round for event in uploads}),
        sent_times=len(uploads),
        received_bytes=sum(event.fields.get("bytes", 0) for event in received) if site.events else None,
    )


def _numbers(census: dict[str, list[int]] | None) -> int | None:
    return None if census is None else sum(len(histogram) for histogram in census.values())


def _tensors(sent: list[Event]) -> list[TensorSent]:
    tally = Counter(
        (tensor["name"], tuple(tensor["shape"]), tensor["bytes"]) for event in sent for tensor in _listed(event)
    )
    return [TensorSent(*key, times=times) for key, times in sorted(tally.items())]


def _listed(event: Event) -> list[dict[str, Any]]:
    tensors: list[dict[str, Any]] = event.fields.get("tensors") or []
    return tensors
