"""Whatever did not go as planned: refused peers and updates, late and lost sites, stops and restarts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from fedmol.formats import duration
from fedmol.report.run_record import RunRecord
from fedmol.telemetry.events import Changed
from fedmol.telemetry.log import Event
from fedmol.telemetry.reducer import described

_KINDS = {
    "site_refused": "Peer refused",
    "update_refused": "Update refused",
    "update_late": "Update came too late",
    "update_not_counted": "Update did not count",
    "state_damaged": "Damaged file",
    "state_rebuilt": "File made again",
    "site_lost": "Site lost",
    "site_returned": "Site back",
    "run_stopped": "Aggregator stopped",
    "run_started": "Aggregator started again",
    "settings_changed": "Settings changed",
    "change_refused": "Change refused",
    "clock_stopped": "Clock stopped",
    "site_hung": "Site hung",
}


_MOST_MISFITS = 20


@dataclass(frozen=True)
class Incident:
    """Equal ones are told once; `time` is that of the first."""

    time: datetime | None
    what: str
    site: str
    round: int | None
    detail: str
    times: int = 1


def incidents(record: RunRecord) -> list[Incident]:
    """In the order in which they first happened."""
    first_start = record.events.index(started) if (started := next(record.of_kind("run_started"), None)) else -1
    told: dict[tuple[str, str, str], Incident] = {}
    for position, event in enumerate(record.events):
        if event.kind not in _KINDS or position == first_start:
            continue
        incident = _incident(event)
        key = (incident.what, incident.site, incident.detail)
        known = told.get(key)
        told[key] = replace(known, times=known.times + incident.times) if known else incident
    wrong = [*record.misfits, *record.course.misfits]
    misfits = [Incident(None, "Damaged log", "", None, what) for what in wrong[:_MOST_MISFITS]]
    if len(wrong) > _MOST_MISFITS:
        misfits.append(Incident(None, "Damaged log", "", None, f"{len(wrong):,} lines in all"))
    return [*told.values(), *misfits]


def _incident(event: Event) -> Incident:
    times = event.fields.get("times", 1)
    about = "" if event.kind in ("settings_changed", "change_refused", "clock_stopped") else event.site
    written = datetime.fromisoformat(event.time)
    happened = min(written, datetime.fromisoformat(event.fields.get("last") or event.time))
    return Incident(happened, _KINDS[event.kind], about, event.round, _detail(event), times)


def _detail(event: Event) -> str:
    said = event.fields
    if "silent_seconds" in said:
        return f"silent for {duration(said['silent_seconds'])}"
    if event.kind == "run_started":
        return "the run went on where it was"
    if event.kind == "settings_changed":
        return f"change {said['number']}: {described(Changed.model_validate(said['changes']))}"
    if event.kind == "clock_stopped":
        return f"the process did not run for {duration(said['seconds'])}"
    if said.get("limit") is not None and said.get("norm") is not None:
        return f"it moved the {said.get('section', 'model')} by {said['norm']:.4g}, the limit was {said['limit']:.4g}"
    return ": ".join(str(said[name]) for name in ("reason", "file", "detail") if said.get(name))
