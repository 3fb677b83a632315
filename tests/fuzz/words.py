"""Damaged words of a member: each is taken or refused by name, and nobody else's joining fails."""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from pathlib import Path

from fedmol.errors import Exit, FedmolError
from fedmol.fl.changes import Changes
from fedmol.fl.engine import Opening
from fedmol.fl.federation import parse
from fedmol.fl.identity import peer_name, shared_settings
from fedmol.fl.liveness import Liveness
from fedmol.fl.log_anchors import AnchoredLine
from fedmol.fl.messages import CensusCounts, Counts, Joining, LogAnchor, OpeningRequest, Progress, Welcome
from fedmol.fl.rounds import RoundRule
from fedmol.fl.run_manifest import manifest_of
from fedmol.fl.versions import SEMANTICS
from fedmol.telemetry.log import EventLog, LogPosition, verify
from fedmol.training.assembly import vocabulary_of
from fedmol_aggregator.enrollment import Enrollment, Roster
from fedmol_aggregator.peer_checks import PeerChecks
from fedmol_aggregator.refusal_log import RefusalLog
from tests.fuzz.mutations import altered, damaged
from tests.fuzz.target import MemoryBound

RUN, _TRIALS = "r", 400
_LARGEST_LOG = 256 * 2**10  # bytes
_REFUSALS = {
    Exit.BAD_SETTINGS, Exit.CERTIFICATE_OF_ANOTHER_SITE, Exit.UNKNOWN_RUN, Exit.MODEL_DIFFERS, Exit.VOCABULARY_DIFFERS,
    Exit.SHARD_CHANGED, Exit.PROTOCOL_DIFFERS, Exit.MESSAGE_REFUSED,
}  # fmt: skip


_OPENING = Opening(2, {"model": "4" * 64}, None, None, 1, LogPosition(5, "5" * 64))


def _signed_by_nobody(line: AnchoredLine) -> LogAnchor:
    return LogAnchor(**asdict(line), certificate="", signature="00")


class Door:
    """A gate for two sites, of which one says what it likes."""

    def __init__(self, folder: Path) -> None:
        self.settings = parse({"sites": [{"name": "good"}, {"name": "bad"}]}, "fuzz")
        self.vocabulary, self.path = vocabulary_of(self.settings), folder / "events.jsonl"
        events = EventLog(self.path, run=RUN, site="aggregator")
        liveness = Liveness(self.settings.site_names, 60, events)
        rule = RoundRule(self.settings.site_names, 2, 100, liveness)
        self.enrollment = Enrollment(self.settings, folder / "agreement.json", events)
        roster = Roster(self.settings, RUN, self.vocabulary, "1" * 64, "2" * 64)
        changes = Changes(manifest_of(RUN, self.settings))
        refusals = RefusalLog(events)
        self.peer_checks = PeerChecks(
            roster, self.enrollment, liveness, rule, refusals, events, changes, _signed_by_nobody
        )

    def joining(self, site: str) -> Joining:
        classes = len(self.vocabulary.atoms), len(self.vocabulary.bonds), self.vocabulary.max_atoms + 1
        census = CensusCounts(
            atoms=(20, *[0] * (classes[0] - 1)),
            bonds=(0, 20, *[0] * (classes[1] - 2)),
            sizes=(0, 0, 10, *[0] * (classes[2] - 3)),
        )
        return Joining(
            run=RUN,
            peer=peer_name(site),
            semantics=SEMANTICS,
            vocabulary=self.vocabulary.digest(),
            manifest="1" * 64,
            payload="2" * 64,
            settings=shared_settings(self.settings),
            counts=Counts(molecules=10, census=census, shard="3" * 64),
        )

    def hear(self, call: str, message: bytes) -> None:
        """What the member says; only a refusal may come of it."""
        try:
            if call == "join":
                self.peer_checks.join("bad", message)
            elif call == "report":
                self.peer_checks.report("bad", message, round=1)
            else:
                self.peer_checks.opening("bad", message, _OPENING)
        except FedmolError as refusal:
            if refusal.exit not in _REFUSALS:
                raise


def fuzz(work: Path, chance: random.Random, expected: bytes) -> int:
    """One gathering under fire; the number of messages that were tried."""
    door, memory = Door(work), MemoryBound()
    progress = Progress(run=RUN, peer=peer_name("bad"), round=1, phase="training", step=3, steps=9, loss=1.5)
    honest = {
        "join": door.joining("bad").encode(),
        "report": progress.encode(),
        "opening": OpeningRequest(run=RUN, peer=peer_name("bad")).encode(),
    }
    for _ in range(_TRIALS):
        call = chance.choice(list(honest))
        message = honest[call]
        if chance.random() < 0.7:
            message = json.dumps(altered(json.loads(message), chance)).encode()
        if chance.random() < 0.4:
            message = damaged(message, chance)
        door.hear(call, message)
    memory.check()
    assert verify(door.path) > 0
    assert door.path.stat().st_size < _LARGEST_LOG
    door.peer_checks.join("bad", honest["join"])
    welcome = Welcome.model_validate_json(door.peer_checks.join("good", door.joining("good").encode()))
    assert welcome.agreement is not None
    assert welcome.agreement.molecules == {"bad": 10, "good": 10}
    assert sum(welcome.agreement.census.sizes) == 20
    return _TRIALS
