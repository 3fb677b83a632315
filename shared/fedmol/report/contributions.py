"""What each site put in, what its work counted, and what left it."""

from __future__ import annotations

from dataclasses import dataclass

from fedmol.data.card import DataCard
from fedmol.report.run_record import RunRecord, SiteRecord
from fedmol.telemetry.outbound_totals import Tensor
from fedmol.telemetry.state import Site


@dataclass(frozen=True)
class SiteAccount:
    name: str
    joined: bool
    moves: list[str]  # see `Membership.moves`
    molecules: int | None  # that it trains on
    share: float | None  # of all molecules that were joined with
    weights: list[float]  # one per round in which its update counted
    missed: list[int]  # rounds
    loss: float | None  # of its last round
    card: DataCard | None
    counts: int | None  # numbers in the histograms that it told before round 1
    sent: list[Tensor] | None  # None: the site's own log is not in this folder
    sent_bytes: int
    sent_rounds: int
    sent_times: int
    received_bytes: int | None


def accounts(record: RunRecord) -> list[SiteAccount]:
    """One per site that was in the run, in the order of the settings, those that were added after them."""
    return [_account(record, site) for site in record.sites]


def _account(record: RunRecord, site: SiteRecord) -> SiteAccount:
    known = record.run.sites.get(site.name) or Site(site.name)
    own = site.run.sites.get(site.name) if site.run else None
    uploading = own if own and own.uploads else known
    losses = [round.site_loss[site.name] for round in record.rounds if site.name in round.site_loss]
    return SiteAccount(
        name=site.name,
        joined=known.joined,
        moves=record.course.moves(site.name),
        molecules=known.molecules,
        share=known.weight,
        weights=[round.weights[site.name] for round in record.rounds if site.name in round.weights],
        missed=[round.number for round in record.rounds if site.name in round.missing],
        loss=losses[-1] if losses else None,
        card=site.card,
        counts=known.counts,
        sent=None if site.run is None else sorted(site.run.outbound.tensors.values(), key=_described),
        sent_bytes=uploading.sent_bytes,
        sent_rounds=uploading.upload_rounds,
        sent_times=uploading.uploads,
        received_bytes=None if own is None else own.received_bytes,
    )


def _described(tensor: Tensor) -> tuple[str, tuple[int, ...], int]:
    return tensor.name, tensor.shape, tensor.bytes
