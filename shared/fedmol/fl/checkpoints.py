"""The federation's state after each round: one sealed file a round, forced to the disk, the oldest removed.

rounds/round-0003.safetensors     the sections that left round 3, the strategy's state, the round's account
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmol import sealed
from fedmol.errors import Exit, FedmolError
from fedmol.fl.payload import Payload, Sections, section_digests
from fedmol.fl.round_account import before_round_1, digests_of
from fedmol.fl.strategies.base import LARGEST_STATE, State
from fedmol.telemetry.events.event_record import told
from fedmol.telemetry.events.round_events import RoundFinished


@dataclass(frozen=True)
class RoundFiles:
    folder: Path
    keep: int

    def path(self, round: int) -> Path:
        return self.folder / f"round-{round:04d}.safetensors"

    def rounds(self) -> list[int]:
        """The rounds that have a file, ascending."""
        numbers = (path.stem.removeprefix("round-") for path in self.folder.glob("round-*.safetensors"))
        return sorted(int(number) for number in numbers if number.isdecimal())

    def prune(self) -> None:
        for old in self.rounds()[: -self.keep]:
            self.path(old).unlink(missing_ok=True)


_STATE = "state."
_LARGEST_HEADER = 8 * 2**20  # bytes


@dataclass(frozen=True)
class Checkpoint:
    """What a round leaves behind; `account` is what the event log says of it."""

    sections: Sections
    state: State
    round: int
    account: RoundFinished

    @property
    def digests(self) -> dict[str, str]:
        """Of each section."""
        return digests_of(self.account)

    @classmethod
    def begin(cls, initial: Sections) -> Checkpoint:
        """What round 1 starts from."""
        return cls(initial, {}, 0, before_round_1(section_digests(initial)))


class Checkpoints:
    def __init__(self, folder: Path, keep: int) -> None:
        self.files = RoundFiles(folder, max(keep, 2))  # a damaged newest one is made again from the one before

    def rounds(self) -> list[int]:
        """The rounds that have a file, ascending."""
        return self.files.rounds()

    def path(self, round: int) -> Path:
        return self.files.path(round)

    def save(self, checkpoint: Checkpoint) -> None:
        """Put the round on the disk; it is there for good when this returns."""
        round = checkpoint.round
        tensors = {**checkpoint.sections, **{_STATE + name: value for name, value in checkpoint.state.items()}}
        earlier = [kept for kept in self.rounds() if kept != round]
        over = self.path(earlier[0]) if len(earlier) >= self.files.keep else None
        sealed.save(self.path(round), tensors, {"round": round, **checkpoint.account.said()}, over=over)
        self.files.prune()

    def load(self, round: int, payload: Payload) -> Checkpoint:
        """The round as it was saved.

        Raises:
            FedmolError: STATE_UNUSABLE when the file is missing, damaged, or of another model.
        """
        tensors, meta = sealed.load(self.path(round), (1 + LARGEST_STATE) * payload.nbytes + _LARGEST_HEADER)
        sections = {name: vector for name, vector in tensors.items() if not name.startswith(_STATE)}
        state = {name.removeprefix(_STATE): vector for name, vector in tensors.items() if name.startswith(_STATE)}
        lengths = {name: vector.shape for name, vector in sections.items()}
        if lengths != {section.name: (section.length,) for section in payload.sections}:
            raise self._unusable(round, "its model is not the one of these settings")
        found = Checkpoint(sections, state, round, self._account(round, meta))
        if section_digests(sections) != found.digests:
            raise self._unusable(round, "its model has another digest than its account says")
        return found

    def _account(self, round: int, meta: dict[str, Any]) -> RoundFinished:
        if meta.get("round") != round:
            raise self._unusable(round, f"it is that of round {meta.get('round')}")
        account = told(RoundFinished.kind, round, meta)
        if not isinstance(account, RoundFinished):
            raise self._unusable(round, "it has no account of its round")
        return account

    def _unusable(self, round: int, what: str) -> FedmolError:
        return FedmolError(
            Exit.STATE_UNUSABLE,
            f"{self.path(round)} cannot be used: {what}",
            "restore the working folder from a backup, or start a new run",
        )
