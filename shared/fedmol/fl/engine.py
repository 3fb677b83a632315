"""The round engine: takes the sites' uploads in, closes each round, and keeps the state on disk.

It knows nothing of how uploads travel. A server, or a simulation in one process, asks it what a site has to do
(`tasks`), hands uploads over (`receiving`), and lets it close rounds (`tick`). Rounds are counted from 1.

The lock is held for looking things up only: an upload is read and a round's next model is computed without it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace

from fedmol.errors import Exit, FedmolError
from fedmol.fl.aggregation import close, count
from fedmol.fl.checkpoints import Checkpoint, Checkpoints
from fedmol.fl.opening import Opening
from fedmol.fl.payload import Sections
from fedmol.fl.recovery import Recovery, closing_line
from fedmol.fl.rounds import RoundRule, Terms
from fedmol.fl.tasks import TASKS, TRAIN, Task
from fedmol.fl.updates import DamagedUpdate
from fedmol.fl.upload_refusals import UploadRefusals, refusal
from fedmol.fl.uploads import Reception, UploadRecord, UploadStore
from fedmol.run_folder import RunFolder
from fedmol.telemetry.events.round_events import RoundStarted, UpdateNotCounted, UpdateReceived
from fedmol.telemetry.events.run_events import StateDamaged
from fedmol.telemetry.log import EventLog, LogPosition


class StaleRound(Exception):
    """Something of a round was asked for that is over, or has not begun."""


class RoundEngine:
    def __init__(
        self,
        terms: Terms,
        initial: Sections,
        rule: RoundRule,
        work: RunFolder,
        keep: int,
        events: EventLog,
        final: Checkpoint | None = None,
    ) -> None:
        """Takes up whatever `work` holds of an earlier start. `final` is what the last round of a finished run left.

        Raises:
            FedmolError: STATE_UNUSABLE when a file in `work` is missing or damaged and cannot be made again.
        """
        self.terms, self.rule, self.events = terms, rule, events
        self.checkpoints = Checkpoints(work.rounds, keep)
        self.uploads = UploadStore(work.uploads, terms.payload)
        last = final or Recovery(terms, initial, self.checkpoints, self.uploads, events).last_round()
        self._last = last or Checkpoint.begin(initial)
        self.round = self._last.round + 1  # the open one
        self._closing_line = None if last is None else closing_line(events, self.round - 1)
        self._lock = threading.RLock()
        self._arrived = threading.Condition(self._lock)  # an upload has come: for `tick`
        self._opened = threading.Condition(self._lock)  # there may be something to do: for the sites that wait
        self.before_round: Callable[[int], None] = lambda _: None  # told of each round before it opens
        self._closing = False
        self._failure: OSError | None = None
        self.refusals = UploadRefusals(events, rule.clock)
        self._reports: dict[str, dict[str, UploadRecord]] = {}
        self._cpu = time.process_time()
        if not self.finished:
            self._take_up_uploads()

    @property
    def finished(self) -> bool:
        return self.round > self.terms.rounds

    @property
    def sections(self) -> Sections:
        """What the open round starts from."""
        return self._last.sections

    @property
    def model_digest(self) -> str:
        return self._last.account.model_digest

    def reported(self) -> set[str]:
        """The sites that are done with the open round."""
        with self._lock:
            return {site for site, tasks in self._reports.items() if tasks.keys() == TASKS.keys()}

    def amend(self, rounds: int, sites: Collection[str], quorum: int, deadline: float, grace: float | None) -> None:
        """From now on these are the sites and the rounds. What a site that has gone sent in the open round is dropped.

        Also the round that is open is closed by the new rule.
        """
        with self._lock:
            self.terms = replace(self.terms, rounds=rounds)
            rule = self.rule
            rule.sites, rule.quorum, rule.deadline, rule.grace = list(sites), quorum, deadline, grace
            for site in self._reports.keys() - set(sites):
                for record in self._reports.pop(site).values():
                    self.uploads.drop(record)
            self._arrived.notify()
            self._opened.notify_all()

    def forget(self, site: str) -> None:
        """Drop what the site has reported in the open round: it has other molecules now, and trains on these."""
        with self._lock:
            if not self._closing:
                for record in self._reports.pop(site, {}).values():
                    self.uploads.drop(record)
                self._opened.notify_all()

    def begin(self) -> None:
        """The clock of the open round starts."""
        self.rule.restart()
        self.events.write(RoundStarted(), round=self.round)

    def tasks(self, site: str, patience: float = 0.0) -> tuple[int, list[Task]]:
        """The open round and what `site` still has to do in it; waits up to `patience` seconds for there to be some."""
        with self._lock:
            self._opened.wait_for(lambda: self.finished or bool(self._left(site)), patience)
            return self.round, [] if self.finished else self._left(site)

    def entering(self, round: int) -> Sections:
        """The sections that `round` starts from: those of the round after the last are final.

        Raises StaleRound unless `round` is the open one.
        """
        with self._lock:
            if round != self.round:
                raise StaleRound(f"round {round} is over")
            return self._last.sections

    def opening(self, site: str) -> Opening:
        """The open round, and what became of the site's last update."""
        with self._lock:
            return Opening.of(site, self._last, self._closing_line)

    @contextmanager
    def receiving(self, site: str, round: int, task: str) -> Iterator[Reception | None]:
        """Take an upload in: the block fills the reception, and the upload counts when the block ends.

        The reception is None where there is nothing to take in, because the round is over or the task was reported.

        Raises:
            FedmolError: UPDATE_REFUSED for an upload that is not what was agreed. It is logged, and nothing of it kept.
        """
        reception = self._expect(site, round, task)
        if reception is None:
            yield None
            return
        try:
            yield reception
            record = reception.finish()
            self._accept(reception, record)
        except FedmolError as error:
            if error.exit is Exit.UPDATE_REFUSED:
                self.refusals.refused(site, round, error.message, self.round)
            raise
        except OSError as error:
            error.filename = error.filename or str(self.uploads.folder)
            self.fail(error)
            raise
        finally:
            reception.discard()

    def fail(self, error: OSError) -> None:
        """The disk fails: `tick` ends the run with `error`, and a restart takes it up again."""
        with self._lock:
            self._failure = self._failure or error
            self._arrived.notify()

    def refusal(self, site: str, round: int, what: str) -> FedmolError:
        """The error for an upload that is not even one; it is logged."""
        error = refusal(site, round, what)
        self.refusals.refused(site, round, error.message, self.round)
        return error

    def tick(self, patience: float = 0.0) -> bool:
        """Close the open round if it may close; wait up to `patience` seconds for news before. True if it was closed.

        Raises:
            FedmolError: QUORUM_LOST when every update moved too far.
            OSError: nothing can be written any more.
        """
        with self._lock:
            self._arrived.wait(patience)
        if self._failure is not None:
            raise self._failure
        if self.finished or not self.rule.may_close(self.reported()):
            return False
        with self._lock:
            self._closing = True  # from now on uploads of this round are late
            reports = {site: self._reports[site] for site in sorted(self.reported())}
        try:
            self._close(reports)
            return True
        except DamagedUpdate as damaged:
            self._ask_again(damaged, reports[damaged.site][TRAIN.name])
            return False
        finally:
            with self._lock:
                self._closing = False
                self._opened.notify_all()

    def _left(self, site: str) -> list[Task]:
        if self._closing or site not in self.rule.sites or site not in self.terms.molecules():
            return []
        done = self._reports.get(site, {})
        return [task for name, task in TASKS.items() if name not in done]

    def _expect(self, site: str, round: int, name: str) -> Reception | None:
        task = TASKS.get(name)
        with self._lock:
            if not 1 <= round <= self.round:
                raise self.refusal(site, self.round, f"it is for round {round}, and round {self.round} is open")
            if self.finished or self._closing or round != self.round:
                self.refusals.late(site, round, self.round)
                return None
            if task is None:
                raise self.refusal(site, round, f"it is for an unknown task {name[:40]!r}")
            if (why := self._no_member(site)) is not None:
                raise self.refusal(site, round, why)
            if name in self._reports.get(site, {}):
                return None  # sent twice because the first answer was lost
            return self.uploads.receive(site, round, task, self._last.sections)

    def _no_member(self, site: str) -> str | None:
        """Why nothing of the site counts."""
        if site not in self.rule.sites:
            return "the site has no part in this round"
        return "the site has brought no counts" if site not in self.terms.molecules() else None

    def _accept(self, reception: Reception, record: UploadRecord) -> None:
        with self._lock:
            if (why := self._no_member(record.site)) is not None:
                raise refusal(record.site, record.round, why)
            if self._closing or record.round != self.round:
                self.refusals.late(record.site, record.round, self.round)
                return
            if record.task in self._reports.get(record.site, {}):
                return
            reception.keep(record)
            self._reports.setdefault(record.site, {})[record.task] = record
            if len(self.reported()) >= self.rule.quorum:
                self._arrived.notify()
        if record.task == TRAIN.name:
            molecules = self.terms.molecules()[record.site]
            self.events.write(
                UpdateReceived(molecules=molecules, bytes=self.terms.payload.nbytes, norm=record.norm),
                site=record.site,
                round=record.round,
            )

    def _close(self, reports: dict[str, dict[str, UploadRecord]]) -> None:
        round, sites = self.round, list(self.rule.sites)
        counting = count(round, self.terms, self._last, sites, reports)
        following = close(round, self.terms, self._last, sites, reports, counting, self.uploads, self._cost)
        self.checkpoints.save(following)
        for site, why in sorted(counting.excluded.items()):
            self.events.write(UpdateNotCounted(**asdict(why)), site=site, round=round)
        closing = self.events.write(following.account, round=round)
        self.events.sync()
        self._advance(following, closing)

    def _cost(self) -> tuple[float, float]:
        """The seconds since the round began, and those of the processor since the round before was closed."""
        cpu, self._cpu = time.process_time() - self._cpu, time.process_time()
        return self.rule.clock() - self.rule.started, cpu

    def _advance(self, following: Checkpoint, closing: LogPosition) -> None:
        with self._lock:
            self._last, self._closing_line, self._reports = following, closing, {}
            self.round += 1
            self.before_round(self.round)
        self.uploads.keep_from(self.round - 1)  # those of the round just closed can make its file again
        if not self.finished:
            self.begin()

    def _take_up_uploads(self) -> None:
        """What had arrived of the open round when the process ended."""
        records, damaged = self.uploads.records(self.round)
        for path in damaged:
            self.events.write(StateDamaged(file=str(path), detail="not a record of an upload"), round=self.round)
            path.unlink()
        for record in records:
            if record.site in self.rule.sites:
                self._reports.setdefault(record.site, {})[record.task] = record

    def _ask_again(self, damaged: DamagedUpdate, record: UploadRecord) -> None:
        self.events.write(
            StateDamaged(file=str(damaged.path), detail=damaged.what), site=damaged.site, round=self.round
        )
        self.uploads.drop(record)
        with self._lock:
            del self._reports[damaged.site][TRAIN.name]
