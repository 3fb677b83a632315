"""What a coordinator has before it: an authority, and the aggregator's working folder."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from fedmol.fl.changes import Change, sign
from fedmol.fl.federation import Settings, parse
from fedmol.pki import certificates
from fedmol.telemetry.events.run_events import RunStarted
from fedmol.telemetry.log import EventLog
from fedmol.telemetry.queries import Kind, logged
from fedmol_aggregator.signed_changes import RunChanges

RUN = "trial-1"


def federation(**changes: Any) -> Settings:
    return parse({"sites": [{"name": "north"}, {"name": "south"}], **changes}, "test")


class Desk:
    """A coordinator's working folder, and the authority."""

    def __init__(self, folder: Path) -> None:
        self.work, self.authority = folder / "work", folder / "ca"
        certificates.make_ca(self.authority, "fedmol", timedelta(days=1))

    def start(self, settings: Settings) -> RunChanges:
        self.events = EventLog(self.work / "events.jsonl", run=RUN, site="aggregator")
        course = RunChanges(RUN, settings, self.work, self.authority / "ca.crt", self.events)
        self.events.write(
            RunStarted(
                manifest=course.changes.manifest,
                sites=settings.site_names,
                quorum=settings.quorum,
                rounds=settings.training.rounds,
                parameters=1,
                model_bytes=4,
            )
        )
        return course

    def put(self, course: RunChanges, **entries: Any) -> Path:
        number = len(course.changes.signed) + 1
        change = Change(run=RUN, number=number, previous=course.changes.digest, round=3, **entries)
        path = self.work / "changes" / f"{number:04d}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(sign(change, self.authority / "ca.key", None).model_dump_json())
        return path

    def said(self, kind: type[Kind]) -> list[Kind]:
        return [event.body for event in logged(self.events.path, kind)]
