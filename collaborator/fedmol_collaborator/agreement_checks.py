"""The agreement compared with what this site knows: its own settings and counts, and what was agreed before."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from fedmol.errors import Exit, FedmolError
from fedmol.fl.federation import Settings
from fedmol.fl.identity import digest
from fedmol.fl.messages import Agreement, CensusCounts, Counts
from fedmol.settings import TrainingSettings
from fedmol.telemetry import queries
from fedmol.telemetry.events.site_events import AgreementAccepted
from fedmol.telemetry.log import EventLog
from fedmol_collaborator.task_checks import broken

_PACE = 4.0  # times the steps that this machine could take in the budget: its speed differs with what else it does


@dataclass(frozen=True)
class Own:
    """What the site has brought. `late` says that the federation had agreed before the site came."""

    site: str
    counts: Counts
    late: bool


def check(agreement: Agreement, own: Own, settings: Settings, events: EventLog, accepted: Collection[str] = ()) -> None:
    """Hold the agreement to what the site knows; it is then in the event log.

    The sites in `accepted` may have other molecules than before, by a change that the coordinator has signed.

    Raises:
        FedmolError: AGREEMENT_BROKEN, with what was said and what was agreed.
    """
    before = _agreed_before(events)
    _check_shard(agreement, own)
    if before is None:
        _check_steps(agreement, own, settings.training)
        _check_census(agreement, own, settings.data.least_count, accepted)
    else:
        _check_same(agreement, before, accepted)
    said = _said(agreement)
    if said != before:
        events.write(said)
        events.sync()


def require_same_shard(site: str, counts: Counts, events: EventLog) -> None:
    """Ask what it means when the site comes back to a run with other molecules than it began with.

    Raises:
        FedmolError: SHARD_CHANGED, with both numbers of molecules.
    """
    before = _agreed_before(events)
    if before is None or before.shards.get(site) in (None, counts.shard):
        return
    raise FedmolError(
        Exit.SHARD_CHANGED,
        f"the shard is not the one that this run began with: {before.molecules[site]} molecules for training then, "
        f"{counts.molecules} now (digest {before.shards[site][:12]}, now {counts.shard[:12]})",
        "start with the former file; if the new one is meant, have the coordinator accept it (fedmol change "
        f"--accept-shard {site}), and start with --new-shard",
    )


def _check_steps(agreement: Agreement, own: Own, training: TrainingSettings) -> None:
    asked = agreement.local_steps
    if training.budget_minutes is None:
        if asked != training.local_steps:
            raise broken(f"{asked} local steps a round", f"{training.local_steps} (training.local_steps)")
        return
    assert own.counts.seconds_per_step is not None
    seconds = training.budget_minutes * 60 / training.rounds
    most = max(1, int(_PACE * seconds / own.counts.seconds_per_step))
    if asked > most:
        raise broken(
            f"{asked} local steps a round",
            f"{training.budget_minutes:g} minutes in all, in which this machine takes at most {most} a round",
        )


def _check_shard(agreement: Agreement, own: Own) -> None:
    said = agreement.molecules.get(own.site)
    if said != own.counts.molecules:
        raise broken(f"{said or 'no'} molecules of {own.site}", f"the {own.counts.molecules} that the site brought")
    shard = agreement.shards.get(own.site, "none")
    if shard != own.counts.shard:
        raise broken(f"the shard {shard[:12]} of {own.site}", f"{own.counts.shard[:12]}, which the site brought")


def _check_census(agreement: Agreement, own: Own, least_count: int, accepted: Collection[str]) -> None:
    """No class may have less than what the site brought; where it came late, its classes must be possible.

    Sites may have raised the count of every size to `least_count`.
    """
    for name in CensusCounts.model_fields:
        everyone, mine = getattr(agreement.census, name), getattr(own.counts.census, name)
        if len(everyone) != len(mine):
            raise broken(f"{len(everyone)} classes of {name}", f"{len(mine)}")
        for place, (total, count) in enumerate(zip(everyone, mine, strict=True)):
            if total < (min(count, 1) if own.late else count):
                raise broken(
                    f"{total} of {name} in class {place} over all sites",
                    f"a sum in which this site's own {count} are",
                )
    raised = least_count * len(agreement.census.sizes) * len(agreement.molecules)
    total, most = sum(agreement.census.sizes), sum(agreement.molecules.values())
    if total > most + raised and not accepted:  # a site that came back with fewer molecules is in the sum with all
        raise broken(f"a census of {total:,} molecules", f"the {most:,} of all sites together")


def _check_same(agreement: Agreement, before: AgreementAccepted, accepted: Collection[str]) -> None:
    said = _said(agreement)
    if said.local_steps != before.local_steps:
        raise broken(f"{said.local_steps} local steps a round", f"{before.local_steps}")
    if said.census != before.census:
        raise broken(f"the census {said.census[:12]}", before.census[:12])
    for site, shard in before.shards.items():
        now = said.shards.get(site, "none")
        if site not in accepted and (now, said.molecules.get(site)) != (shard, before.molecules[site]):
            raise broken(f"the shard {now[:12]} of {site}", f"{shard[:12]}")


def _said(agreement: Agreement) -> AgreementAccepted:
    """What of an agreement is the same at every start; sites that come late are added."""
    return AgreementAccepted(
        local_steps=agreement.local_steps,
        census=digest(agreement.census.model_dump(mode="json")),
        molecules=dict(sorted(agreement.molecules.items())),
        shards=dict(sorted(agreement.shards.items())),
    )


def _agreed_before(events: EventLog) -> AgreementAccepted | None:
    """What the site's log says of the agreement in this run."""
    last = queries.last(events.path, AgreementAccepted, events.run)
    return None if last is None else last.body
