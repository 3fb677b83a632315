"""fedmol change: sign what is to be different in a run that goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fedmol import files
from fedmol.cli import passphrase
from fedmol.cli.passphrase import passphrase_file
from fedmol.errors import Exit, FedmolError
from fedmol.events import read
from fedmol.federation.certificates import CA_KEY
from fedmol.federation.changes import (
    FOLDER,
    Change,
    Changes,
    earliest,
    read_signed,
    recorded,
    require_in_time,
    sign,
)

_PATH = click.Path(path_type=Path)


@click.command("change")
@click.argument("state", type=_PATH)
@click.option("--ca", type=click.Path(path_type=Path, file_okay=False), required=True, help="the authority's folder")
@click.option("--remove", multiple=True, metavar="SITE", help="a site that leaves the run; again for more")
@click.option("--add", multiple=True, metavar="SITE", help="a site that comes into the run; again for more")
@click.option("--accept-shard", multiple=True, metavar="SITE", help="a site that may come back with other molecules")
@click.option("--rounds", type=int, help="how many rounds the run has in all, more than before")
@click.option("--quorum", type=int, help="as rounds.quorum in federation.yaml")
@click.option("--deadline", type=float, help="as rounds.deadline, in seconds")
@click.option("--grace", type=float, help="as rounds.grace, in seconds")
@click.option("--join-deadline", type=float, help="as rounds.join_deadline, in seconds")
@click.option("--lost-after", type=float, help="as rounds.lost_after, in seconds")
@click.option("--from-round", type=int, help="the first round in which it holds; the earliest possible when left out")
@click.option("--out", type=_PATH, help="file for the change; changes/NNNN.json in STATE when left out")
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
    """Sign a change of a run with the authority's key, and hand it to the aggregator.

    STATE is the aggregator's working folder. Where that is elsewhere, STATE is a copy of its events.jsonl: then name
    --out, and put the file into the folder changes/ of the aggregator's working folder. The aggregator takes it up
    within a second, sites with the next round.
    """
    opening = passphrase.existing(ca, passphrase_file)
    with files.one_at_a_time(ca):  # or of two changes at once, one is written over the other
        changes, open_round = _now(state, ca / "ca.crt")
        said = {key: value for key, value in entries.items() if value}
        document = {
            "run": changes.manifest["run"],
            "number": len(changes.signed) + 1,
            "previous": changes.digest,
            "accept_shards": accept_shard,
            **said,
        }
        draft = Change.model_validate({**document, "round": max(open_round, 1)})
        wanted = draft.model_copy(update={"round": from_round or earliest(draft, open_round)})
        require_in_time(wanted, open_round)
        signed = sign(wanted, ca / CA_KEY, opening)
        changes.take(signed, ca / "ca.crt")
        path = out or _inbox(state) / f"{wanted.number:04d}.json"
        files.write_text(path, signed.model_dump_json())
    click.echo(f"change {wanted.number} of run {wanted.run}, from round {wanted.round} on: {_described(wanted)}")
    click.echo(f"written to {path}")


def _now(state: Path, authority: Path) -> tuple[Changes, int]:
    """The run's changes so far, those that the aggregator has not taken yet included, and its open round."""
    log, inbox = (state / "events.jsonl", state / FOLDER) if state.is_dir() else (state, state.parent / FOLDER)
    manifest, signed = recorded(log)
    if manifest is None:
        raise FedmolError(
            Exit.STATE_UNUSABLE,
            f"{log} does not say what its run is bound to",
            "name the aggregator's working folder, or a copy of its events.jsonl",
        )
    changes = Changes(manifest)
    changes.take_all(signed, authority)
    while (waiting := inbox / f"{len(changes.signed) + 1:04d}.json").exists():
        changes.take(read_signed(waiting), authority)
    finished = [event.round or 0 for event in read(log) if event.kind == "round_finished"]
    return changes, max(finished, default=0) + 1


def _inbox(state: Path) -> Path:
    if not state.is_dir():
        raise FedmolError(Exit.USAGE, "--out is not named", "name a file for the change, such as --out 0001.json")
    return state / FOLDER


def _described(change: Change) -> str:
    return ", ".join(f"{key} {value}" for key, value in change.says().items())
