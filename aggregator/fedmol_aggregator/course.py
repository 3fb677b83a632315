"""The run's course: what holds in which round, and the changes that the coordinator puts into the working folder.

    changes/0001.json       the first change as `fedmol change` wrote it

A change that is taken is in the event log with its signature, which is where a restart finds it; files that are not
taken are said once and passed over.
"""

from __future__ import annotations

import logging
from pathlib import Path

from fedmol.errors import Exit, FedmolError
from fedmol.events import EventLog
from fedmol.federation.changes import FOLDER, Change, Changes, read_signed, recorded, require_in_time
from fedmol.federation.manifest import Manifest, differences, manifest_of
from fedmol.federation.settings import Settings

log = logging.getLogger("fedmol.aggregator")


class Course:
    def __init__(self, run: str, settings: Settings, work: Path, authority: Path, events: EventLog) -> None:
        """Takes up what the event log knows of the run.

        Raises:
            FedmolError: CHANGE_REFUSED when `settings` are neither those that the run began with nor those of now.
        """
        self.authority, self.inbox, self.events = authority, work / FOLDER, events
        given = manifest_of(run, settings)
        bound, logged = recorded(events.path)
        self.is_new = bound is None  # the event log does not say yet what the run is bound to
        self.changes = Changes(given if bound is None else bound)
        for signed in logged:
            self.changes.take(signed, authority)
        if given != manifest_of(run, self.changes.latest):
            self._require_as_begun(given)
        self.inbox.mkdir(mode=0o700, exist_ok=True)
        self._seen: set[tuple[str, int]] = set()

    def _require_as_begun(self, given: Manifest) -> None:
        wrong = differences(self.changes.manifest, given)
        if wrong:
            raise FedmolError(
                Exit.CHANGE_REFUSED,
                f"federation.yaml is not what run {self.changes.manifest['run']!r} began with: {'; '.join(wrong)}",
                "go back to the former settings; sites, quorum, deadlines and rounds change by `fedmol change`",
            )

    def collect(self, open_round: int) -> list[Change]:
        """The changes that have been put into the folder since, and hold from the open round or a later one on."""
        taken = []
        while (written := _written(path := self.inbox / f"{len(self.changes.signed) + 1:04d}.json")) is not None:
            key = (path.name, written)
            if key in self._seen:
                break
            self._seen.add(key)
            try:
                signed = read_signed(path)
                change = self.changes.check(signed, self.authority)
                require_in_time(change, open_round)
            except FedmolError as refusal:
                log.warning("%s: %s", path.name, refusal.message)
                self.events.write("change_refused", file=path.name, reason=refusal.exit.slug, detail=refusal.message)
                break
            self.changes.take(signed, self.authority)
            self.events.write(
                "settings_changed",
                round=change.round,
                number=change.number,
                changes=change.says(),
                document=signed.document,
                signature=signed.signature,
            )
            self.events.sync()
            log.info("change %d holds from round %d on: %s", change.number, change.round, change.says())
            taken.append(change)
        return taken


def _written(path: Path) -> int | None:
    """When the file was written; None where there is none."""
    try:
        return path.lstat().st_mtime_ns
    except OSError:
        return None
