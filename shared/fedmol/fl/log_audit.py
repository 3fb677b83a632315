"""An event log held against what sites keep of it: was it changed since, and was everybody told the same?

The chain of hashes shows lines that were changed, removed, added or moved by themselves. Whoever computes all hashes
anew leaves a sound chain behind; that shows against the anchors in the sites' logs, see `fedmol.fl.log_anchors`. Two
anchors that cannot be of one log show that the aggregator told two histories. A last line that was never finished, and
lines that are missing after the newest anchor, are what a power cut leaves, and nothing is concluded from them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from fedmol.errors import Exit, FedmolError
from fedmol.fl import log_anchors
from fedmol.fl.log_anchors import AnchoredLine
from fedmol.formats import names, number
from fedmol.names import AGGREGATOR
from fedmol.telemetry.chain_breaks import breaks
from fedmol.telemetry.events.event_record import Misread
from fedmol.telemetry.events.round_events import LogAnchored, RoundFinished
from fedmol.telemetry.events.run_events import RunStarted
from fedmol.telemetry.log import AnyEvent
from fedmol.telemetry.log_lines import Line, LogLines
from fedmol.telemetry.queries import of_kind


@dataclass(frozen=True)
class Tampering:
    """Something that cannot be with a log that nobody has changed. `line` is counted from 1."""

    path: Path
    line: int
    what: str


@dataclass
class Audit:
    """What an audit came to, in sentences."""

    facts: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)  # what nothing proves
    tampering: list[Tampering] = field(default_factory=list)


@dataclass(frozen=True)
class Kept:
    """An anchor in a site's log."""

    site: str
    line: int  # of the site's log
    said: AnchoredLine
    signer: str | None  # None: it was not asked for


@dataclass
class LogRead:
    """What an audit needs of a log: `found` are the lines that were looked for, by digest."""

    path: Path
    run: str
    owner: str
    lines: int = 0
    torn: int = 0
    intact: bool = True
    sites: tuple[str, ...] = ()  # of an aggregator's, as it was started last
    anchors: list[Kept] = field(default_factory=list)
    damaged: list[Tampering] = field(default_factory=list)  # anchors that are none
    found: dict[str, Line] = field(default_factory=dict)

    @property
    def whose(self) -> str:
        return f"the log of the {self.owner}" if self.owner == AGGREGATOR else f"the log of site {self.owner}"


def audit(log: Path, against: Sequence[Path] = (), authorities: Sequence[Path] = ()) -> Audit:
    """Hold the event log of an aggregator, or of a site, against the logs of sites of the same run.

    `authorities` are the certificates by which the aggregator is known; without any, signatures are not looked at.

    Raises:
        FedmolError: STATE_UNUSABLE for what is no event log, USAGE when the logs are not of one run and its sites,
            CERTIFICATE_MISSING or CERTIFICATE_FOREIGN when an authority cannot be read.
        OSError: a file cannot be read.
    """
    run, owner = _about(log)
    others = [_site_log(path, run, authorities) for path in against]
    signed = [kept for one in others for kept in one.anchors]
    main = _read(log, run, owner, authorities, {kept.said.head for kept in signed})
    result = Audit()
    for one in (main, *others):
        known = main.found.keys() if one is main else ()
        _judge_chain(result, one, known)
        _judge_signatures(result, one, authorities)
    result.tampering += _forks([*main.anchors, *signed], main)
    if owner == AGGREGATOR:
        _compare(result, main, signed)
        _name_missing(result, main, others)
    else:
        result.open.append(f"whether {main.whose} was rewritten as a whole: nobody else keeps its digests")
    return result


def _about(path: Path) -> tuple[str, str]:
    """The run and the owner of a log."""
    event = next((line.event for line in LogLines(path) if line.event is not None), None)
    if event is None:
        raise FedmolError(
            Exit.STATE_UNUSABLE, f"{path} is not an event log: none of its lines is an event", "name an events.jsonl"
        )
    return event.run, event.site


def _site_log(path: Path, run: str, authorities: Sequence[Path]) -> LogRead:
    its_run, owner = _about(path)
    if owner == AGGREGATOR or its_run != run:
        whose = "the aggregator's log" if owner == AGGREGATOR else f"of run {its_run!r}, not of {run!r}"
        raise FedmolError(Exit.USAGE, f"{path} is {whose}", "name the log of a site of the same run with --against")
    return _read(path, run, owner, authorities, ())


def _read(path: Path, run: str, owner: str, authorities: Sequence[Path], wanted: Collection[str]) -> LogRead:
    found, lines = LogRead(path, run, owner), LogLines(path)
    before: Line | None = None
    for line in lines:
        found.lines = line.number
        found.intact &= line.follows(before)
        if line.digest in wanted:
            found.found[line.digest] = line
        if line.event is not None and line.event.run == run:
            _note(found, line.number, line.event, authorities)
        before = line
    found.torn = lines.torn
    return found


def _note(found: LogRead, line: int, event: AnyEvent, authorities: Sequence[Path]) -> None:
    if found.owner == AGGREGATOR:
        for start in of_kind([event], RunStarted):
            found.sites = tuple(start.body.sites)
        return
    if isinstance(event.body, Misread) and event.kind == LogAnchored.kind:
        found.damaged.append(_damaged(found, line, event, event.body.what))
    for anchored in of_kind([event], LogAnchored):
        try:
            anchor = log_anchors.kept(anchored)
            by = log_anchors.signer(anchor, authorities) if authorities else None
        except FedmolError as error:
            if error.exit not in (Exit.CERTIFICATE_FOREIGN, Exit.STATE_UNUSABLE):
                raise
            found.damaged.append(_damaged(found, line, event, error.message))
        else:
            found.anchors.append(Kept(found.owner, line, AnchoredLine.of(anchor), by))


def _damaged(found: LogRead, line: int, event: AnyEvent, what: str) -> Tampering:
    return Tampering(found.path, line, f"the anchor of round {event.round}: {what}")


def _judge_chain(result: Audit, log: LogRead, known: Collection[str]) -> None:
    if log.intact:
        result.facts.append(f"{log.whose} has {log.lines:,} lines, and each carries the hash of the one before")
    else:
        result.tampering += [Tampering(log.path, one.line, one.what) for one in breaks(log.path, known)]
    if log.torn:
        result.facts.append(
            f"the last line of {log.whose} was never finished ({log.torn:,} bytes after line {log.lines:,}): "
            "a power cut leaves that, or a program that is writing it now"
        )


def _judge_signatures(result: Audit, log: LogRead, authorities: Sequence[Path]) -> None:
    if log.owner == AGGREGATOR:
        return
    result.tampering += log.damaged
    if not log.anchors:
        if not log.damaged:
            result.open.append(f"site {log.owner} keeps no anchor: no round was over, or the aggregator sent none")
        return
    rounds = sorted(kept.said.round for kept in log.anchors)
    span = f"round {rounds[0]}" if len(rounds) == 1 else f"{len(rounds):,} rounds from {rounds[0]} to {rounds[-1]}"
    signers = names(sorted({kept.signer or "" for kept in log.anchors}))
    result.facts.append(f"site {log.owner} keeps anchors of {span}" + (f", signed by {signers}" if authorities else ""))
    if not authorities:
        result.open.append(
            f"whether the aggregator has signed what site {log.owner} keeps: name the authority's certificate (--ca)"
        )


def _forks(anchors: Iterable[Kept], main: LogRead) -> Iterator[Tampering]:
    """Anchors that cannot be of one log: in it, a later round ends in a later line."""
    said = sorted({kept.said: kept for kept in anchors}.values(), key=lambda kept: (kept.said.round, kept.said.log_seq))
    for one, other in pairwise(said):
        if one.said.round == other.said.round or one.said.log_seq >= other.said.log_seq:
            line = one.said.log_seq + 1
            yield Tampering(main.path, line, f"two histories were told: {_told(one)}, {_told(other)}")


def _told(kept: Kept) -> str:
    said = kept.said
    line = f"line {said.log_seq + 1:,} ({said.head[:12]}) with model {said.model_digest[:12]}"
    return f"site {kept.site} was told {line} for round {said.round}"


def _compare(result: Audit, main: LogRead, signed: Collection[Kept]) -> None:
    """The aggregator's log with the anchors of all sites."""
    sites: dict[AnchoredLine, set[str]] = {}
    for kept in signed:
        sites.setdefault(kept.said, set()).add(kept.site)
    said = sorted(sites, key=lambda one: one.log_seq)
    held = [one for one in said if one.head in main.found]
    result.tampering += [Tampering(main.path, *wrong) for one in held if (wrong := _misnamed(main, one))]
    lost = [one for one in said if one.head not in main.found]
    cut = [one for one in lost if one.log_seq >= main.lines]
    rewritten = [one for one in lost if one.log_seq < main.lines]
    if rewritten:
        first, line = rewritten[0], rewritten[0].log_seq + 1
        what = f"line {line:,} is not the one that was signed for round {first.round} ({_kept_by(sites, rewritten)})"
        if main.intact:
            sound = max((one.log_seq + 1 for one in held if one.log_seq < first.log_seq), default=0)
            what += f": lines {sound + 1:,} to {line:,} were rewritten, in part or as a whole"
        result.tampering.append(Tampering(main.path, line, what))
    if cut:
        what = f"the log was cut off: it ends with line {main.lines:,}, and line {cut[0].log_seq + 1:,} was signed for"
        what += f" round {cut[0].round} ({_kept_by(sites, cut)})"
        result.tampering.append(Tampering(main.path, main.lines, what))
    if held and not lost:
        newest = held[-1]
        result.facts.append(
            f"up to line {newest.log_seq + 1:,}, the end of round {newest.round}, it is what the sites were told"
        )
    _name_unproven(result, main, held)


def _kept_by(sites: Mapping[AnchoredLine, Collection[str]], anchors: Sequence[AnchoredLine]) -> str:
    more = f"; likewise {number(len(anchors) - 1, 'later round')}" if len(anchors) > 1 else ""
    return f"anchor kept by {names(sorted(sites[anchors[0]]))}{more}"


def _misnamed(main: LogRead, one: AnchoredLine) -> tuple[int, str] | None:
    line = main.found[one.head]
    event = line.event
    if event is not None and isinstance(event.body, RoundFinished):
        about = event.run, event.round, event.seq, event.body.model_digest
        if about == (one.run, one.round, one.log_seq, one.model_digest):
            return None
    return line.number, f"line {line.number:,} was signed as the end of round {one.round}, which it is not"


def _name_unproven(result: Audit, main: LogRead, held: Sequence[AnchoredLine]) -> None:
    if not held:
        result.open.append("whether the log was rewritten as a whole: only what a site keeps shows that (--against)")
        return
    end = held[-1].log_seq + 1
    if main.lines > end:
        result.open.append(f"lines {end + 1:,} to {main.lines:,}, after the newest anchor: the chain alone holds them")
    result.open.append("whether lines are missing at the end, after the newest anchor, as a power cut leaves it")


def _name_missing(result: Audit, main: LogRead, others: Sequence[LogRead]) -> None:
    missing = sorted(set(main.sites) - {one.owner for one in others})
    if missing and others:
        result.open.append(f"whether {names(missing)} were told the same: their logs were not named")
