"""The passphrase of the authority's key: asked for, or from a file."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from fedmol.errors import Exit, FedmolError
from fedmol.pki import pem
from fedmol.pki.certificates import CA_KEY

_LONGEST, _SHORTEST = 1024, 8  # bytes

passphrase_file = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="file whose first line is the passphrase of the authority's key  [default: ask]",
)


def existing(authority: Path, file: Path | None) -> bytes | None:
    """What opens the authority's key; None where the key needs nothing."""
    if not pem.is_encrypted(authority / CA_KEY):
        return None
    return _from(file) if file is not None else _asked(f"passphrase of {authority / CA_KEY}", confirm=False)


def chosen(file: Path | None) -> bytes:
    """The passphrase for a new key.

    Raises:
        FedmolError: USAGE when it is too short.
    """
    passphrase = _from(file) if file is not None else _asked("passphrase for the authority's key", confirm=True)
    if len(passphrase) < _SHORTEST:
        raise FedmolError(
            Exit.USAGE,
            f"the passphrase is shorter than {_SHORTEST} characters",
            "choose a longer one, or several words",
        )
    return passphrase


def _from(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(_LONGEST).partition(b"\n")[0].rstrip(b"\r")


def _asked(what: str, *, confirm: bool) -> bytes:
    if not sys.stdin.isatty():
        raise FedmolError(
            Exit.USAGE,
            f"there is no terminal to ask for the {what}",
            "name a file that holds it: --passphrase-file FILE"
            + (" (or --no-passphrase, where nothing real depends on the authority)" if confirm else ""),
        )
    return str(click.prompt(what, hide_input=True, confirmation_prompt=confirm, err=True)).encode()
