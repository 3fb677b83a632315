"""An event log held against what sites keep of it: was it changed since, and was everybody told the same?

The chain of hashes shows lines that were changed, removed, added or moved by themselves. Whoever computes all hashes
anew leaves a sound chain behind; that shows against the anchors in the sites' logs, see `fedmol.fl.log_anchors`. Two
anchors that cannot be of one log show that the aggregator told two histories. A last line that was never finished, and
lines that are missing after the newest anchor, are what a power cut leaves, and nothing is concluded from them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from cryptography.x509 import Certificate

from fedmol.errors import Exit, FedmolError
from fedmol.fl import log_anchors
from fedmol.fl.log_anchors import AnchoredLine
from fedmol.formats import names, number, ranges
from fedmol.names import AGGREGATOR
from fedmol.pki.pem import read_certificate
from fedmol.telemetry.chain_breaks import breaks
from fedmol.telemetry.events.event_record import Misread
from fedmol.telemetry.events.round_events import LogAnchored, RoundFinished
from fedmol.telemetry.events.run_events import RunStarted
from fedmol.telemetry.log import AnyEvent
from fedmol.telemetry.log_lines import Line, LogLines
from fedmol.telemetry.queries import of_kind


@dataclass(frozen=True)
class Tampering:
    """Something that cannot be with logs that nobody has changed. `line` is counted from 1."""

    path: Path
    line: int
    what: str


@dataclass
class Audit:
    """What an audit came to, in sentences; what is `unproven` is said by what follows "Not proven:"."""

    facts: list[str] = field(default_factory=list)
    unproven: list[str] = field(default_factory=list)
    tampering: list[Tampering] = field(default_factory=list)


@dataclass(frozen=True)
class Kept:
    """An anchor in a site's log."""

    path: Path
    site: str
    line: int  # of the site's log
    said: AnchoredLine
    signer: str | None  # None: it was not asked for


@dataclass
class LogRead:
    """What an audit needs of a log."""

    path: Path
    runs: Counter[str] = field(default_factory=Counter)  # that its lines name
    owner: str = ""
    lines: int = 0
    torn: int = 0  # bytes of a last line that was never finished
    intact: bool = True
    sites: tuple[str, ...] = ()  # of an aggregator's run, as it was started last
    anchors: list[Kept] = field(default_factory=list)
    forged: list[Tampering] = field(default_factory=list)  # anchors that are none
    found: dict[str, Line] = field(default_factory=dict)  # the lines that were looked for, by digest

    @property
    def run(self) -> str:
        (run, _), *_ = self.runs.most_common(1)
        return run

    @property
    def whose(self) -> str:
        return "the aggregator's log" if self.owner == AGGREGATOR else f"site {self.owner}'s log"


def audit(log: Path, against: Sequence[Path] = (), authorities: Sequence[Path] = ()) -> Audit:
    """Judge an event log: an aggregator's, `against` the logs of sites of the same run, or a site's by itself.

    `authorities` are the certificates by which the aggregator is known; without any, signatures are not looked at.

    Raises:
        FedmolError: STATE_UNUSABLE for what is no event log, USAGE when the logs are not those of one run's aggregator
            and sites, CERTIFICATE_MISSING or CERTIFICATE_FOREIGN when an authority cannot be read.
        OSError: a file cannot be read.
    """
    trusted = [read_certificate(path) for path in authorities]
    sites = [_read(path, trusted) for path in against]
    signed = [kept for site in sites for kept in site.anchors]
    main = _read(log, trusted, {kept.said.head for kept in signed})
    if sites and main.owner != AGGREGATOR:
        raise _not_together(f"{log} is {main.whose}, not the aggregator's", "compare sites with `fedmol log compare`")
    result = Audit()
    if main.owner == AGGREGATOR:
        _judge_chain(result, main)
        _judge_sites(result, sites, main.run, bool(trusted))
        _compare(result, main, signed)
        _name_absent(result, main, sites)
    else:
        _judge_sites(result, [main], main.run, bool(trusted))
        result.unproven.append(f"that {main.whose} was not rewritten as a whole: nobody else keeps its digests")
    return result


def compare(logs: Sequence[Path], authorities: Sequence[Path] = ()) -> Audit:
    """Judge logs of sites of one run: were all told the same history? Raises as `audit` does."""
    trusted = [read_certificate(path) for path in authorities]
    sites, result = [_read(path, trusted) for path in logs], Audit()
    _judge_sites(result, sites, sites[0].run, bool(trusted))
    result.unproven.append("that the aggregator's log is what the sites were told: `fedmol log verify` finds that out")
    return result


def _read(path: Path, trusted: Sequence[Certificate], wanted: Collection[str] = ()) -> LogRead:
    found, lines = LogRead(path), LogLines(path)
    before: Line | None = None
    for line in lines:
        found.lines = line.number
        found.intact &= line.follows(before)
        if line.digest in wanted:
            found.found[line.digest] = line
        if line.event is not None:
            _note(found, line.number, line.event, trusted)
        before = line
    found.torn = lines.torn
    if not found.runs:
        raise FedmolError(
            Exit.STATE_UNUSABLE, f"{path} is no event log: none of its lines is an event", "name an events.jsonl"
        )
    return found


def _note(found: LogRead, line: int, event: AnyEvent, trusted: Sequence[Certificate]) -> None:
    found.runs[event.run] += 1
    found.owner = found.owner or event.site
    if event.site == AGGREGATOR:  # no site can be called so, and a site's log is about nobody else
        found.owner = AGGREGATOR
    for start in of_kind([event], RunStarted):
        found.sites = tuple(start.body.sites)
    if isinstance(event.body, Misread) and event.kind == LogAnchored.kind:
        found.forged.append(_forged(found, line, event, event.body.what))
    for anchored in of_kind([event], LogAnchored):
        try:
            anchor = log_anchors.kept(anchored)
            by = log_anchors.signer(anchor, trusted) if trusted else None
        except FedmolError as error:
            found.forged.append(_forged(found, line, event, error.message))
        else:
            found.anchors.append(Kept(found.path, event.site, line, AnchoredLine.of(anchor), by))


def _forged(found: LogRead, line: int, event: AnyEvent, why: str) -> Tampering:
    what = f"line {line:,}: the anchor of round {event.round} is not the aggregator's: {why}"
    return Tampering(found.path, line, what)


def _judge_chain(result: Audit, log: LogRead) -> None:
    if log.intact:
        result.facts.append(f"{log.whose}: {number(log.lines, 'line')}, the chain of hashes is unbroken")
    else:
        result.tampering += [Tampering(log.path, wrong.line, wrong.what) for wrong in breaks(log.path, log.found)]
    if log.torn:
        result.facts.append(
            f"{log.whose} ends with {number(log.torn, 'byte')} of an unfinished line, which is no tampering: "
            "a power cut or a kill leaves one, or a program is writing it now"
        )


def _judge_sites(result: Audit, sites: Sequence[LogRead], run: str, with_signatures: bool) -> None:
    """Whether the sites' logs are as they were written, and the anchors in them the aggregator's, and of one log."""
    for site in sites:
        if site.owner == AGGREGATOR or site.run != run:
            what = site.whose if site.owner == AGGREGATOR else f"of run {site.run!r}, not of {run!r}"
            raise _not_together(f"{site.path} is {what}", "name logs of sites of the same run")
        _judge_chain(result, site)
        result.tampering += site.forged
        if site.anchors:
            rounds = sorted({kept.said.round for kept in site.anchors})
            by = f", signed by {names(sorted({str(kept.signer) for kept in site.anchors}))}" if with_signatures else ""
            which = f"{'round' if len(rounds) == 1 else 'rounds'} {ranges(rounds)}"
            result.facts.append(f"site {site.owner} keeps {number(len(rounds), 'anchor')} ({which}){by}")
        elif not site.forged:
            result.unproven.append(f"anything by site {site.owner}'s log: it keeps no anchor")
    if not with_signatures and any(site.anchors for site in sites):
        result.unproven.append("that the aggregator signed the anchors: name the authority's certificate (--ca)")
    result.tampering += _forks(kept for site in sites for kept in site.anchors)


def _not_together(what: str, cure: str) -> FedmolError:
    return FedmolError(Exit.USAGE, what, cure)


def _forks(anchors: Iterable[Kept]) -> Iterator[Tampering]:
    """Anchors that cannot be of one log: in it, a later round ends in a later line."""
    said = sorted({kept.said: kept for kept in anchors}.values(), key=lambda kept: (kept.said.round, kept.said.log_seq))
    for earlier, other in pairwise(said):
        if earlier.said.round == other.said.round or earlier.said.log_seq >= other.said.log_seq:
            yield Tampering(other.path, other.line, f"two histories were told: {_told(earlier)}, but {_told(other)}")


def _told(kept: Kept) -> str:
    said = kept.said
    line = f"line {said.log_seq + 1:,} ({said.head[:12]}) with model {said.model_digest[:12]}"
    return f"site {kept.site}, that round {said.round} ends in {line}"


def _compare(result: Audit, main: LogRead, signed: Collection[Kept]) -> None:
    """The aggregator's log with the anchors of all sites."""
    sites: dict[AnchoredLine, set[str]] = {}
    for kept in signed:
        sites.setdefault(kept.said, set()).add(kept.site)
    said = sorted(sites, key=lambda anchor: anchor.log_seq)
    held = [anchor for anchor in said if anchor.head in main.found]
    result.tampering += [Tampering(main.path, *wrong) for anchor in held if (wrong := _misnamed(main, anchor))]
    lost = [anchor for anchor in said if anchor.head not in main.found]
    cut = [anchor for anchor in lost if anchor.log_seq >= main.lines]
    rewritten = [anchor for anchor in lost if anchor.log_seq < main.lines]
    if rewritten:
        first, line = rewritten[0], rewritten[0].log_seq + 1
        what = f"line {line:,} is not the one that was signed for round {first.round} ({_kept_by(sites, rewritten)})"
        if main.intact:
            sound = max((anchor.log_seq + 1 for anchor in held if anchor.log_seq < first.log_seq), default=0)
            what += f": of lines {sound + 1:,} to {line:,} at least one was rewritten"
        result.tampering.append(Tampering(main.path, line, what))
    if cut:
        what = f"the log was cut off: it ends with line {main.lines:,}, and line {cut[0].log_seq + 1:,} was signed for"
        what += f" round {cut[0].round} ({_kept_by(sites, cut)})"
        result.tampering.append(Tampering(main.path, main.lines, what))
    if held and not lost and main.intact:
        lines = f"lines 1 to {held[-1].log_seq + 1:,}, up to the end of round {held[-1].round}"
        result.facts.append(f"{main.whose}: {lines}, match what the sites keep")
    if not lost:
        _name_unproven(result, main, held)


def _misnamed(main: LogRead, anchor: AnchoredLine) -> tuple[int, str] | None:
    """What is wrong with an anchor of a line that the log has: that line must close the round with that model."""
    line = main.found[anchor.head]
    event = line.event
    if event is not None and isinstance(event.body, RoundFinished):
        about = event.run, event.round, event.seq, event.body.model_digest
        if about == (anchor.run, anchor.round, anchor.log_seq, anchor.model_digest):
            return None
    what = f"line {line.number:,} was signed as the end of round {anchor.round}, in line {anchor.log_seq + 1:,}"
    return line.number, f"{what}, with model {anchor.model_digest[:12]}, and does not say so"


def _kept_by(sites: Mapping[AnchoredLine, Collection[str]], anchors: Sequence[AnchoredLine]) -> str:
    more = f"; likewise {number(len(anchors) - 1, 'later round')}" if len(anchors) > 1 else ""
    return f"anchor kept by {names(sorted(sites[anchors[0]]))}{more}"


def _name_unproven(result: Audit, main: LogRead, held: Sequence[AnchoredLine]) -> None:
    if not held:
        result.unproven.append(
            "that the log was not rewritten as a whole or cut off, nor its last line changed: only what sites keep can "
            "show it (--against)"
        )
        return
    end = held[-1].log_seq + 1
    if main.lines > end:
        result.unproven.append(f"what follows line {end:,}: no anchor covers it, only its own hashes do")
    result.unproven.append("that no line is missing at the end, after the newest anchor, as after a power cut")


def _name_absent(result: Audit, main: LogRead, sites: Sequence[LogRead]) -> None:
    absent = sorted(set(main.sites) - {site.owner for site in sites})
    if absent and sites:
        result.unproven.append(f"that {names(absent)} heard the same: name their logs as well (--against)")
