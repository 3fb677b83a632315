"""fedmol change: sign what is to be different in a run that goes on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from fedmol import files
from fedmol.cli import passphrase
from fedmol.cli.passphrase import passphrase_file
from fedmol.errors import Exit, FedmolError
from fedmol.fl.changes import (
    Change,
    Changes,
    earliest,
    file_name,
    read_signed,
    recorded,
    require_in_time,
    sign,
)
from fedmol.heartbeat import is_alive
from fedmol.pki.certificates import CA_KEY
from fedmol.run_folder import RunFolder
from fedmol.telemetry import queries
from fedmol.telemetry.events.round_events import RoundFinished
from fedmol.telemetry.events.run_events import ChangeRefused, RunFinished, SettingsChanged
from fedmol.telemetry.log import Follower

_PATH = click.Path(path_type=Path)
_PATIENCE = 15.0  # seconds for the aggregator to say what it makes of a change
_START = 5.0  # seconds for one that has just been started to show that it is there


@click.command("change")
@click.argument("state", type=_PATH)
@click.option("--ca", type=click.Path(path_type=Path, file_okay=False), required=True, help="the authority's folder")
@click.option("--remove", multiple=True, metavar="SITE", help="a site that leaves the run; repeatable")
@click.option("--add", multiple=True, metavar="SITE", help="a site that joins the run; repeatable")
@click.option(
    "--accept-shard", multiple=True, metavar="SITE", help="a site that may return with other molecules; repeatable"
)
@click.option("--rounds", type=int, help="total number of rounds, more than before")
@click.option("--quorum", type=int, help="new rounds.quorum")
@click.option("--deadline", type=float, help="new rounds.deadline, in seconds")
@click.option("--grace", type=float, help="new rounds.grace, in seconds")
@click.option("--join-deadline", type=float, help="new rounds.join_deadline, in seconds")
@click.option("--lost-after", type=float, help="new rounds.lost_after, in seconds")
@click.option(
    "--from-round", type=int, help="first round in which the change applies  [default: the earliest possible]"
)
@click.option("--out", type=_PATH, help="file for the change  [default: changes/NNNN.json in STATE]")
@passphrase_file
def change(
    state: Path,
    ca: Path,
    out: Path | None,
    from_round: int | None,
    accept_shard: tuple[str, ...],
    passphrase_file: Path | None,
    **entries: Any,
) -> None:
    """Sign a change to a run with the authority's key, and hand it to the aggregator.

    STATE is the aggregator's working folder. If that is on another machine, STATE is a copy of its events.jsonl: use
    --out, and copy the file into changes/ in the aggregator's working folder, under the name that this command prints.
    The aggregator picks it up within a second, the sites with the next round. If it refuses the change, this command
    ends with an error, and the file is renamed to NNNN.refused.json; the event log has the reason too.
    """
    opening = passphrase.existing(ca, passphrase_file)
    with files.one_at_a_time(ca):  # or of two changes at once, one is written over the other
        changes, open_round = _now(state, ca / "ca.crt")
        said = {key: value for key, value in entries.items() if value not in (None, ())}
        document = {
            "run": changes.manifest["run"],
            "number": len(changes.signed) + 1,
            "previous": changes.digest,
            "accept_shards": accept_shard,
            **said,
        }
        draft = _draft({**document, "round": max(open_round, 1)})
        wanted = draft.model_copy(update={"round": from_round or earliest(draft, open_round)})
        require_in_time(wanted, open_round)
        signed = sign(wanted, ca / CA_KEY, opening)
        changes.take(signed, ca / "ca.crt")
        path = out or _inbox(state) / file_name(wanted.number)
        follower = Follower(_log(state))
        follower.new()  # what was said of former changes
        files.write_text(path, signed.model_dump_json())
        click.echo(f"change {wanted.number} of run {wanted.run}, from round {wanted.round} on: {_described(wanted)}")
        click.echo(f"written to {path}")
        if out is None:
            click.echo(_answer(state, follower, path, wanted.number))
        else:
            click.echo(
                f"put it into the aggregator's working folder as {RunFolder.changes.name}/{file_name(wanted.number)}"
            )


def _now(state: Path, authority: Path) -> tuple[Changes, int]:
    """The run's changes so far, those that the aggregator has not taken yet included, and its open round."""
    log, inbox = _log(state), RunFolder(state if state.is_dir() else state.parent).changes
    manifest, signed = recorded(log)
    if manifest is None:
        raise FedmolError(
            Exit.STATE_UNUSABLE,
            f"{log} does not say what its run is bound to",
            "name the aggregator's working folder, or a copy of its events.jsonl",
        )
    if queries.first(log, RunFinished) is not None:
        raise FedmolError(Exit.CHANGE_REFUSED, "the run is over: nothing of it can change", "begin another run")
    changes = Changes(manifest)
    changes.take_all(signed, authority)
    while (waiting := inbox / file_name(len(changes.signed) + 1)).exists():
        try:
            changes.take(read_signed(waiting), authority)
        except FedmolError as refusal:
            raise FedmolError(
                Exit.CHANGE_REFUSED,
                f"{waiting} is waiting to be taken up, and cannot be: {refusal.message}",
                "take that file away, and make the change again",
            ) from None
    finished = (event.round or 0 for event in queries.logged(log, RoundFinished))
    return changes, max(finished, default=0) + 1


def _log(state: Path) -> Path:
    return RunFolder(state).log if state.is_dir() else state


def _draft(document: dict[str, Any]) -> Change:
    try:
        return Change.model_validate(document)
    except ValidationError as error:
        wrong = "; ".join(f"{_option(str(cause['loc'][0]))}: {cause['msg']}" for cause in error.errors())
        raise FedmolError(Exit.USAGE, wrong, "see fedmol change --help for what can change") from None


def _option(entry: str) -> str:
    return "--accept-shard" if entry == "accept_shards" else f"--{entry.replace('_', '-')}"


def _answer(state: Path, follower: Follower, path: Path, number: int) -> str:
    """What the aggregator says of the change. Raises FedmolError CHANGE_REFUSED when it refuses it."""
    began = time.monotonic()
    while (waited := time.monotonic() - began) < _PATIENCE:
        for event in follower.new():
            match event.body:
                case SettingsChanged(number=taken) if taken == number:
                    return "the aggregator has taken it up"
                case ChangeRefused(file=refused, detail=why) if refused == path.name:
                    raise FedmolError(
                        Exit.CHANGE_REFUSED,
                        f"the aggregator does not take the change: {why}",
                        "make it again as it can hold; nothing has changed",
                    )
        if waited > _START and not is_alive(state):
            return "no aggregator works in that folder now; the next one that does takes it up"
        time.sleep(0.1)
    return f"the aggregator has said nothing for {_PATIENCE:g} s; its log will (settings_changed, change_refused)"


def _inbox(state: Path) -> Path:
    if not state.is_dir():
        raise FedmolError(Exit.USAGE, "--out is not named", "name a file for the change, such as --out 0001.json")
    return RunFolder(state).changes


def _described(change: Change) -> str:
    said = change.says().items()
    return ", ".join(f"{key} {' and '.join(value) if isinstance(value, list) else value}" for key, value in said)
