"""fedmol log: look at event logs."""

from __future__ import annotations

from pathlib import Path

import click

from fedmol.errors import Exit, FedmolError

_PATH = click.Path(path_type=Path)
_LOGS = ("events.jsonl", "aggregator/events.jsonl")  # in a party's working folder; in that of a run by `fedmol run`


@click.group()
def log() -> None:
    """Verify event logs."""


@log.command()
@click.argument("log", metavar="LOG", type=_PATH)
@click.option(
    "--against", type=_PATH, multiple=True, metavar="SITE-LOG", help="what a site keeps; again for more sites"
)
@click.option(
    "--ca", "authorities", type=_PATH, multiple=True, help="ca.crt of the federation's authority, or its folder"
)
def verify(log: Path, against: tuple[Path, ...], authorities: tuple[Path, ...]) -> None:
    """Find out whether an event log was changed after it was written.

    LOG and SITE-LOG are event logs (events.jsonl), copies of them, or the working folders that they are in.

    The chain of hashes in LOG shows lines that were changed, removed, added or moved. That a log was rewritten with all
    its hashes, or cut off, shows only against what sites keep: after each round the aggregator signs the state of its
    log, and every site keeps that in its own log. If sites were told different histories, their logs show it.

    The exit code is 47 when something was changed. A last line that a power cut tore is not taken for that.
    """
    from fedmol.fl.log_audit import audit

    paths = [_authority(path) for path in authorities]
    result = audit(_log(log), [_log(path) for path in against], paths)
    for title, sentences in (("Found:", result.facts), ("Not proven:", result.open)):
        _show(title, sentences)
    _show("Changed:", [f"{one.path}, line {one.line:,}: {one.what}" for one in result.tampering])
    if result.tampering:
        raise FedmolError(
            Exit.LOG_TAMPERED,
            f"{log} is not what was written, or not what the sites were told",
            "keep all copies as they are, and find out who could write to them; a backup may tell what was changed",
        )
    click.echo("Nothing shows that the log was changed.")


def _show(title: str, sentences: list[str]) -> None:
    from fedmol.shown import plain

    if sentences:
        click.echo("\n  ".join([title, *(plain(one) for one in sentences)]))


def _log(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = [path / name for name in _LOGS if (path / name).exists()]
    if not found:
        raise FedmolError(
            Exit.USAGE, f"{path} holds no event log", "name a party's working folder, or an events.jsonl itself"
        )
    return found[0]


def _authority(path: Path) -> Path:
    return path / "ca.crt" if path.is_dir() else path
