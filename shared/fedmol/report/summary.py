"""How the run ended, in one word and one plain sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fedmol.formats import names, number, ranges
from fedmol.report.run_record import RunRecord


@dataclass(frozen=True)
class Outcome:
    state: Literal["complete", "quorum", "stopped", "open"]
    title: str
    sentence: str


def outcome(record: RunRecord) -> Outcome:
    """By the aggregator's log; a finished run stays that, however often it is served again."""
    run = record.run
    if run.outcome is None and run.stopped is not None:
        return Outcome("stopped", "Stopped", f"{_done(record)} Then the aggregator stopped: {run.stopped}.")
    if run.outcome is None and run.rounds_target is None:
        return Outcome("open", "Not started", "The run has been prepared; its aggregator has not logged anything yet.")
    if run.outcome is None:
        return Outcome(
            "open", "Not finished", f"{_done(record)} At this point the run was in progress, or interrupted."
        )
    missing = run.missing
    if run.outcome != "quorum":
        return Outcome("complete", "Complete", f"{_done(record)} {_absences(record)}")
    end = (
        f" At the end, {names(missing)} {'were' if len(missing) > 1 else 'was'} missing: "
        f"the final model does not include {'their last updates' if len(missing) > 1 else 'its last update'}."
    )
    return Outcome("quorum", "Ended with the quorum", f"{_done(record)} {_absences(record)}{end if missing else ''}")


def _done(record: RunRecord) -> str:
    return f"{len(record.rounds)} of {number(record.course.latest.training.rounds, 'round')} finished."


def _absences(record: RunRecord) -> str:
    absent = {
        site: ranges([round.number for round in record.rounds if site in round.missing]) for site in record.course.sites
    }
    said = [f"{site} was missing from round {rounds}" for site, rounds in absent.items() if rounds]
    moves = _moves(record)
    everybody = "Both sites" if len(absent) == 2 else f"All {number(len(absent), 'site')}"
    whole = f"{everybody} took part in every round"
    if said:
        whole = f"Not every site took part in every round: {names(said)}"
    elif moves:
        whole = "Every site took part in all of its rounds"
    return f"{'; '.join([whole, *moves])}."


def _moves(record: RunRecord) -> list[str]:
    """What became of the sites that were added or removed in mid-run."""
    moves = {site: record.course.moves(site) for site in record.course.sites}
    return [f"{site} was {names(said)}" for site, said in moves.items() if said]
