"""The run's course: what holds in which round, and the changes that the coordinator puts into the working folder.

    changes/0001.json       the first change as `fedmol change` wrote it

A change that is taken is in the event log with its signature, which is where a restart finds it. One that is refused is
said once, and put aside under the name 0001.refused.json, together with those that were made to follow it: another
can take its place.
"""

from __future__ import annotations

import logging
import os
import re
import time
from pathlib import Path

from fedmol.errors import Exit, FedmolError
from fedmol.fl.changes import FOLDER, Change, Changes, file_name, read_signed, recorded, require_in_time
from fedmol.fl.federation import Settings
from fedmol.fl.run_manifest import Manifest, differences, manifest_of
from fedmol.telemetry.events.run_events import Changed, ChangeRefused, SettingsChanged
from fedmol.telemetry.log import EventLog

log = logging.getLogger("fedmol.aggregator")

# A number, or what has been put aside.
_NAME = re.compile(r"(?!0000)\d{4,7}\.json|.*\.refused(-\d+)?\.json")
_SETTLED = 2.0  # seconds after which a file that cannot be read is not thought to be on its way any more


class RunChanges:
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
        self._refuse_other_names()
        while os.path.lexists(path := self._file(len(self.changes.signed) + 1)):
            try:
                signed = read_signed(path)
            except FedmolError as refusal:
                if not _may_be_half_written(path):
                    self._refuse(path, refusal)
                break
            try:
                change = self.changes.check(signed, self.authority)
                require_in_time(change, open_round)
            except FedmolError as refusal:
                self._refuse(path, refusal)
                break
            self.changes.take(signed, self.authority)
            self.events.write(
                SettingsChanged(
                    number=change.number,
                    changes=Changed(**change.says()),
                    document=signed.document,
                    signature=signed.signature,
                ),
                round=change.round,
            )
            self.events.sync()
            log.info("change %d holds from round %d on: %s", change.number, change.round, change.says())
            taken.append(change)
        return taken

    def _file(self, number: int) -> Path:
        return self.inbox / file_name(number)

    def _refuse_other_names(self) -> None:
        """A change under another name than its number's would wait for ever, and nobody be told."""
        for path in self.inbox.glob("[!.]*.json"):
            if not _NAME.fullmatch(path.name) and not _may_be_half_written(path):
                detail = f"the next change is taken from {file_name(len(self.changes.signed) + 1)}"
                self._put_aside(path, Exit.CHANGE_REFUSED.slug, detail)

    def _refuse(self, path: Path, refusal: FedmolError) -> None:
        """Say so and put the change aside, and those that follow it: they were made on top of it."""
        self._put_aside(path, refusal.exit.slug, refusal.message)
        number = len(self.changes.signed) + 2
        while os.path.lexists(follower := self._file(number)):
            self._put_aside(follower, refusal.exit.slug, f"it follows {path.name}, which is refused")
            number += 1

    def _put_aside(self, path: Path, reason: str, detail: str) -> None:
        log.warning("%s: %s", path.name, detail)
        target, number = path.with_suffix(".refused.json"), 1
        while os.path.lexists(target):
            number += 1
            target = path.with_suffix(f".refused-{number}.json")
        path.rename(target)
        self.events.write(ChangeRefused(file=path.name, reason=reason, detail=detail))


def _may_be_half_written(path: Path) -> bool:
    """Whether the file came so lately that it may still be on its way, by a hand that does not write it whole."""
    try:
        return abs(time.time() - path.lstat().st_mtime) < _SETTLED
    except FileNotFoundError:
        return True  # it is being exchanged
