"""What the federation settles on before round 1: how it follows from the sites' counts, and where it is kept."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from pydantic import ValidationError

from fedmol import files
from fedmol.errors import Exit, FedmolError
from fedmol.fl.messages import Agreement, CensusCounts, Counts, read_agreement
from fedmol.fl.update_norms import lower_median
from fedmol.settings import TrainingSettings
from fedmol.telemetry import queries
from fedmol.telemetry.events.run_events import StateDamaged, StateRebuilt
from fedmol.telemetry.events.site_events import AgreementReached, Histograms
from fedmol.telemetry.log import EventLog

SLOWEST = 4.0  # times the lower median of all sites' seconds per step: as slow as a site may count


def agree(training: TrainingSettings, counts: Mapping[str, Counts]) -> Agreement:
    """The agreement of the sites in `counts`; the marginals come from the sum of their histograms."""
    sites = dict(sorted(counts.items()))
    return Agreement(
        census=CensusCounts(**{kind: _sum(kind, sites.values()) for kind in CensusCounts.model_fields}),
        molecules={site: joined.molecules for site, joined in sites.items()},
        local_steps=local_steps(training, [joined.seconds_per_step for joined in sites.values()]),
        shards={site: joined.shard for site, joined in sites.items()},
    )


def _sum(kind: str, counts: Collection[Counts]) -> tuple[int, ...]:
    return tuple(sum(column) for column in zip(*(getattr(count.census, kind) for count in counts), strict=True))


def local_steps(training: TrainingSettings, seconds_per_step: Collection[float | None]) -> int:
    """The steps that each site makes in a round: those that are set, or with `budget_minutes` those that fit.

    They are fitted to the slowest site, but no site counts as slower than four times the lower median of all. So one
    site that says it is slow takes at most three quarters of the steps; one that really is as slow takes longer than
    the budget. Of two sites the lower median is the faster one.
    """
    seconds = [measured for measured in seconds_per_step if measured is not None]
    if training.budget_minutes is None or not seconds:
        return training.local_steps
    slowest = min(max(seconds), SLOWEST * lower_median(seconds))
    return max(1, min(int(seconds_per_round(training.budget_minutes, training.rounds) / slowest), 10**9))


def seconds_per_round(budget_minutes: float, rounds: int) -> float:
    return budget_minutes * 60 / rounds


def check_speed(training: TrainingSettings, counts: Counts) -> None:
    """Raises FedmolError unless the site says its speed where that counts, and can make a step in a round's time."""
    if training.budget_minutes is None:
        return
    if counts.seconds_per_step is None:
        raise FedmolError(
            Exit.MESSAGE_REFUSED,
            "the site does not say how fast it is, which training.budget_minutes needs",
            "run an unchanged release of fedmol at the site: it measures its speed itself",
        )
    seconds = seconds_per_round(training.budget_minutes, training.rounds)
    if counts.seconds_per_step > seconds:
        raise FedmolError(
            Exit.BAD_SETTINGS,
            f"the site needs {counts.seconds_per_step:.3g} s for a step, and training.budget_minutes leaves "
            f"{seconds:.3g} s for a round",
            "train on a faster machine, or ask the coordinator for a larger training.budget_minutes or fewer rounds",
        )


def event_of(agreement: Agreement) -> AgreementReached:
    """The agreement as it is logged."""
    total = sum(agreement.molecules.values())
    return AgreementReached(
        molecules=agreement.molecules,
        weights={site: count / total for site, count in agreement.molecules.items()},
        local_steps=agreement.local_steps,
        census=Histograms(**agreement.census.model_dump(mode="json")),
        shards=agreement.shards,
    )


def keep(path: Path, agreement: Agreement, events: EventLog) -> None:
    """Log the agreement, then write it to `path`: the file never knows more than the log."""
    events.write(event_of(agreement))
    events.sync()
    _write(path, agreement)


def recall(path: Path, events: EventLog) -> Agreement | None:
    """The agreement of an earlier start, as the event log has it; a file that lags behind or is damaged is mended.

    Raises:
        FedmolError: STATE_UNUSABLE when the file holds what was never logged, or is of an earlier protocol.
    """
    logged = [_agreement(event.body, events.path) for event in queries.logged(events.path, AgreementReached)]
    if not logged and path.exists():
        raise _unusable(path, f"holds an agreement that {events.path.name} does not have")
    if not logged:
        return None
    try:
        kept = read_agreement(path)
    except FedmolError:
        kept = None
    if kept is not None and kept not in logged:
        raise _unusable(path, f"is another agreement than {events.path.name} has")
    if kept is None:
        events.write(StateDamaged(file=str(path), detail="it is missing or cannot be read"))
        _write(path, logged[-1])
        events.write(StateRebuilt(file=str(path)))
    elif kept != logged[-1]:  # the process ended between the two
        _write(path, logged[-1])
    return logged[-1]


def _agreement(record: AgreementReached, path: Path) -> Agreement:
    said = record.said()
    try:
        return Agreement.model_validate_json(json.dumps({name: said[name] for name in said if name != "weights"}))
    except ValidationError:
        raise _unusable(path, "tells of an agreement of an earlier protocol") from None


def _write(path: Path, agreement: Agreement) -> None:
    files.write_text(path, agreement.model_dump_json(indent=1), 0o600)


def _unusable(path: Path, what: str) -> FedmolError:
    return FedmolError(
        Exit.STATE_UNUSABLE,
        f"{path} {what}",
        "restore the working folder from a backup, finish the run with the fedmol that began it, or start a new run in "
        "an empty folder",
    )
