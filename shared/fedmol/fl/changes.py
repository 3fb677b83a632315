"""What the coordinator may change while a run goes on, and how everybody comes to know it.

A change is a JSON document that the federation's authority signs, so that neither aggregator nor site can make one up.
Changes are numbered, and each names the digest of the one before; the first names that of the run's manifest. A
change says from which round on it holds. Sites that are added train with the noise model as it was agreed; classes of
atoms, bonds or sizes that it lacks keep a site out. The update that a site has sent in a round from which on it is
removed is dropped; what it did in earlier rounds stays in the model, and its counts in the agreed noise model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from fedmol import files
from fedmol.closed import Closed
from fedmol.errors import Exit, FedmolError
from fedmol.fl.federation import Settings
from fedmol.fl.messages import LARGEST_CHANGE, SignedChange
from fedmol.fl.run_manifest import Manifest, manifest_digest, settings_of
from fedmol.names import SiteName
from fedmol.pki.signatures import sign_document, verify_document
from fedmol.settings import Seconds
from fedmol.telemetry.events.run_events import RunStarted, SettingsChanged
from fedmol.telemetry.log import read

Sites = Annotated[tuple[SiteName, ...], Field(max_length=1000)]
Count = Annotated[int, Field(gt=0, le=10**6)]

_OF_ROUNDS = ("quorum", "deadline", "grace", "join_deadline", "lost_after")
_AHEAD = {"rounds", "add", "accept_shards"}  # sites train by these: they cannot begin in the middle of a round


class Change(Closed):
    """One change; what is left out stays as it is."""

    format: Literal[1] = 1
    run: str
    number: Count
    previous: str  # digest of the change before, or of the run's manifest
    round: Count  # from which on it holds
    rounds: Count | None = None
    quorum: Count | None = None
    deadline: Seconds | None = None
    grace: Seconds | None = None
    join_deadline: Seconds | None = None
    lost_after: Seconds | None = None
    add: Sites = ()
    remove: Sites = ()
    accept_shards: Sites = ()  # sites that may come back with other molecules

    def says(self) -> dict[str, Any]:
        """The entries that change."""
        left_out = {"format", "run", "number", "previous", "round"}
        return {key: value for key, value in self.model_dump(mode="json", exclude=left_out).items() if value}


def sign(change: Change, key: Path, passphrase: bytes | None) -> SignedChange:
    """The change as it is handed on, signed with the authority's key."""
    document = change.model_dump_json(exclude_defaults=True)
    return SignedChange(document=document, signature=sign_document(key, passphrase, document.encode()).hex())


class Changes:
    """The changes of one run, in order, on top of what it was begun with."""

    def __init__(self, manifest: Manifest) -> None:
        """Raises FedmolError STATE_UNUSABLE when that is no manifest."""
        self.manifest, self.settings = manifest, settings_of(manifest)
        self.signed: list[SignedChange] = []
        self.entries: list[Change] = []

    @property
    def digest(self) -> str:
        """What the next change names as the one before."""
        return _digest(self.signed[-1]) if self.signed else manifest_digest(self.manifest)

    def take(self, signed: SignedChange, authority: Path) -> Change:
        """The next change of the run; it counts from now on. `authority` is the authority's certificate.

        Raises:
            FedmolError: CERTIFICATE_FOREIGN when the authority has not signed it, CHANGE_REFUSED when it does not
                follow from what holds so far.
        """
        change = self.check(signed, authority)
        self.signed.append(signed)
        self.entries.append(change)
        return change

    def take_all(self, changes: Iterable[SignedChange], authority: Path) -> list[Change]:
        """All changes of the run as somebody else knows them: those that are known must be among them, in place.

        Returns those that were not known. Raises as `take` does.
        """
        given = list(changes)
        if given[: len(self.signed)] != self.signed:
            raise _refused("the changes of the run are not those that were known before")
        return [self.take(change, authority) for change in given[len(self.signed) :]]

    def at(self, round: int) -> Settings:
        """The settings in force in `round`."""
        settings = self.settings
        for change in self.entries:
            if change.round <= round:
                settings = amended(settings, change)
        return settings

    @property
    def latest(self) -> Settings:
        """The settings once every change is in force."""
        return self.at(max((change.round for change in self.entries), default=1))

    @property
    def everybody(self) -> set[str]:
        """All sites that are, were, or are to be in the run."""
        return {*self.settings.site_names, *(site for change in self.entries for site in change.add)}

    @property
    def lengths(self) -> tuple[tuple[int, int], ...]:
        """(round, rounds): from which round on the run has how many; see `assembly.extensions`."""
        longer = [(change.round, change.rounds) for change in self.entries if change.rounds is not None]
        return ((1, self.settings.training.rounds), *longer)

    def accepted_shards(self, round: int) -> set[str]:
        """The sites that may have other molecules from some round up to `round` on."""
        return {site for change in self.entries if change.round <= round for site in change.accept_shards}

    def check(self, signed: SignedChange, authority: Path) -> Change:
        """The change, if it can be the next one. Raises as `take` does."""
        verify_document(authority, signed.document.encode(), bytes.fromhex(signed.signature))
        change, number = parse_change(signed.document), len(self.entries) + 1
        if change.run != self.manifest["run"]:
            raise _refused(f"it is for run {change.run!r}, not for {self.manifest['run']!r}")
        if change.number != number:
            raise _refused(f"it is change {change.number} of the run, and the next one is {number}")
        if change.previous != self.digest:
            raise _refused(f"change {number} was made for another state of the run")
        if self.entries and change.round < self.entries[-1].round:
            raise _refused(f"change {number} would hold before change {number - 1} does")
        before = self.latest
        if change.round > before.training.rounds:
            raise _refused(f"it would hold from round {change.round} on, and the run has {before.training.rounds}")
        amended(before, change)
        return change


def recorded(log: Path) -> tuple[Manifest | None, list[SignedChange]]:
    """What an aggregator's event log says that the run is bound to, and its changes so far; unchecked.

    Raises:
        FedmolError: STATE_UNUSABLE when it is no aggregator's: a site's log tells of changes without their signatures.
    """
    manifest, signed = None, []
    for event in read(log):
        match event.body:
            case RunStarted(manifest=bound) if manifest is None:
                manifest = dict(bound) or None
            case SettingsChanged() as said:
                signed.append(_logged(log, event.seq, said))
    return manifest, signed


def _logged(log: Path, seq: int, said: SettingsChanged) -> SignedChange:
    try:
        return SignedChange.model_validate({"document": said.document, "signature": said.signature})
    except ValidationError:
        raise FedmolError(
            Exit.STATE_UNUSABLE,
            f"{log} is not an aggregator's event log: entry {seq} tells of a change without its signature",
            "name the aggregator's working folder, or a copy of its events.jsonl",
        ) from None


def earliest(change: Change, open_round: int) -> int:
    """The first round from which the change can hold while `open_round` is open."""
    return open_round + bool(_AHEAD & change.says().keys())


def require_in_time(change: Change, open_round: int) -> None:
    """Raises FedmolError CHANGE_REFUSED when the round from which the change is to hold has begun, or is over."""
    first = earliest(change, open_round)
    if change.round < first:
        raise _refused(f"it was to hold from round {change.round} on, and the first that it can is round {first}")


def amended(settings: Settings, change: Change) -> Settings:
    """The settings with the change in force.

    Raises:
        FedmolError: CHANGE_REFUSED when that is no change, or no federation.
    """
    says, names = change.says(), settings.site_names
    if not says:
        raise _refused("it changes nothing")
    if change.rounds is not None and change.rounds <= settings.training.rounds:
        raise _refused(f"the run has {settings.training.rounds} rounds, and can only get more than that")
    if foreign := sorted(set(change.remove) - set(names)):
        raise _refused(f"{', '.join(foreign)} cannot be removed: not a site of the run")
    if twice := sorted(set(change.add) & set(names)):
        raise _refused(f"{', '.join(twice)} cannot be added: a site of the run already")
    members = [*(name for name in names if name not in change.remove), *sorted(change.add)]
    if not members:
        raise _refused("no site would be left")
    if unknown := sorted(set(change.accept_shards) - set(members)):
        raise _refused(f"the shard of {', '.join(unknown)} cannot be accepted: not a site of the run")
    document = settings.model_dump()
    document["sites"] = [{"name": name} for name in members]
    document["training"]["rounds"] = change.rounds or settings.training.rounds
    document["rounds"] |= {key: says[key] for key in _OF_ROUNDS if key in says}
    try:
        return Settings.model_validate(document)
    except ValidationError as error:
        raise _refused("; ".join(cause["msg"].removeprefix("Value error, ") for cause in error.errors())) from None


def parse_change(document: str) -> Change:
    """A change from the document that is signed. Raises FedmolError CHANGE_REFUSED when it is none."""
    try:
        return Change.model_validate_json(document)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, cause['loc'])) or 'document'}: {cause['msg']}" for cause in error.errors()[:5]
        )
        raise _refused(f"it is not a change: {wrong}") from None


def file_name(number: int) -> str:
    """What the file of a change is called in the folder for them."""
    return f"{number:04d}.json"


def read_signed(path: Path) -> SignedChange:
    """A signed change from its file. Raises FedmolError CHANGE_REFUSED when it is none."""
    try:
        return SignedChange.model_validate_json(files.read_bytes(path, 4 * LARGEST_CHANGE))
    except ValidationError:
        raise _refused(f"{path.name} is not a signed change") from None
    except OSError as error:
        raise _refused(f"{path.name} cannot be read: {error.strerror}") from None


def _digest(signed: SignedChange) -> str:
    return hashlib.sha256(signed.document.encode()).hexdigest()


def _refused(what: str) -> FedmolError:
    return FedmolError(
        Exit.CHANGE_REFUSED, f"the change is refused: {what}", "sign a change that fits with `fedmol change`"
    )
