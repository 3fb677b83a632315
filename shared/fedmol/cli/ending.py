"""How every fedmol program ends: with an exit code, and with what went wrong said once on standard error."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import click

from fedmol.errors import Exit, FedmolError


def call(command: click.Command, arguments: Sequence[str], name: str) -> int:
    """The exit code of one call of `command`."""
    try:
        command.main(list(arguments), prog_name=name, standalone_mode=False)
    except FedmolError as error:
        click.echo(f"error: {error}", err=True)
        return error.exit
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return Exit.INTERRUPTED
    except OSError as error:
        cure = "check that the path exists, that you may use it, and that the disk has room"
        place = f"{error.filename}: " if error.filename else ""
        click.echo(f"error: {FedmolError(Exit.USAGE, f'{place}{error.strerror or error}', cure)}", err=True)
        return Exit.USAGE
    return Exit.DONE


def log_to_stderr() -> None:
    """Log lines of the two long-running programs; OpenFL's own only when they are errors."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("openfl").setLevel(logging.ERROR)
