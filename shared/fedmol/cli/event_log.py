"""fedmol log: were event logs changed after they were written, and were all sites told the same?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedmol.errors import Exit, FedmolError
from fedmol.formats import number
from fedmol.run_folder import RunFolder
from fedmol.shown import plain

if TYPE_CHECKING:
    from fedmol.fl.log_audit import Audit

_PATH = click.Path(path_type=Path)

_authorities: Callable[[Callable[..., None]], Callable[..., None]] = click.option(
    "--ca",
    "authorities",
    type=_PATH,
    multiple=True,
    metavar="CA-CRT",
    help="certificate of the federation's authority; again if it was renewed in mid-run",
)


@click.group()
def log() -> None:
    """Verify event logs: was one changed, and were all sites told the same?

    Logs are named by their files (events.jsonl), copies of them, or the working folders that they are in. Both commands
    end with exit code 47 if they find tampering. See docs/event-log.md.
    """


@log.command()
@click.argument("log", metavar="LOG", type=_PATH)
@click.option("--against", type=_PATH, multiple=True, metavar="SITE-LOG", help="a site's log; again for more sites")
@_authorities
def verify(log: Path, against: tuple[Path, ...], authorities: tuple[Path, ...]) -> None:
    """Find out whether an event log was changed after it was written.

    LOG is the aggregator's log, which is held against what the sites keep of it, or a site's log by itself.

    The hashes in LOG show lines that were changed, removed, added or moved. That a log was rewritten with all its
    hashes, or cut off, shows only against what sites keep: after each round the aggregator signs the state of its log,
    and every site keeps that in its own log. An unfinished last line, as a power cut leaves it, is no tampering.
    """
    from fedmol.fl.log_audit import audit

    _show(audit(_log(log), [_log(path) for path in against], [_authority(path) for path in authorities]))


@log.command()
@click.argument("logs", metavar="SITE-LOG...", type=_PATH, nargs=-1, required=True)
@_authorities
def compare(logs: tuple[Path, ...], authorities: tuple[Path, ...]) -> None:
    """Find out whether sites were told the same, without the aggregator's log.

    Two sites that keep signed anchors which cannot be of one log have the proof that the aggregator told them different
    histories.
    """
    from fedmol.fl.log_audit import compare as compared

    _show(compared([_log(path) for path in logs], [_authority(path) for path in authorities]))


def _show(audit: Audit) -> None:
    """Raises FedmolError LOG_TAMPERED where there is tampering."""
    tampering = [f"{finding.path}: {finding.what}" for finding in audit.tampering]
    for title, sentences in (("Found:", audit.facts), ("Not proven:", audit.unproven), ("Tampering:", tampering)):
        if sentences:
            click.echo("\n  ".join([title, *(plain(sentence) for sentence in sentences)]))
    if tampering:
        raise FedmolError(
            Exit.LOG_TAMPERED,
            f"{number(len(tampering), 'sign')} of tampering, see above",
            "keep all copies as they are, and find out who could write to them; a backup shows what was changed",
        )
    click.echo("No tampering found.")


def _log(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = RunFolder(path).told
    if not found.exists():
        raise FedmolError(
            Exit.USAGE, f"{path} holds no event log", "name a party's working folder, or an events.jsonl itself"
        )
    return found


def _authority(path: Path) -> Path:
    return path / "ca.crt" if path.is_dir() else path
