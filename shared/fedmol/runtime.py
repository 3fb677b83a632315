"""What the command lines of all fedmol programs share: how a run is named, and how a program ends, with an exit code
and with what went wrong said once on standard error."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir

import click

from fedmol import names
from fedmol.errors import STORAGE_ERRORS, Exit, FedmolError


class _RunId(click.ParamType[str]):
    name = "ID"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not names.is_run(value):
            self.fail(
                f"{value[:80]!r} cannot be the id of a run: letters, digits, dots, hyphens and underscores, "
                "64 at most, a letter or digit first",
                param,
                ctx,
            )
        return value


RUN_ID = _RunId()


def call(command: click.Command, arguments: Sequence[str], name: str) -> int:
    """The exit code of one call of `command`."""
    _have_a_home()
    try:
        command.main(list(arguments), prog_name=name, standalone_mode=False)
    except FedmolError as error:
        _say(f"error: {error}")
        return error.exit
    except click.exceptions.NoArgsIsHelpError as error:
        _say(error.format_message())
        return Exit.USAGE
    except click.ClickException as error:
        _say(f"error: {_wrong_call(error, name)}")
        return Exit.USAGE
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted")
        return Exit.INTERRUPTED
    except OSError as error:
        ended = ended_by_the_system(error)
        _say(f"error: {ended}")
        return ended.exit
    return Exit.DONE


def _have_a_home() -> None:
    """A container may run as a user that has no name and no home; OpenFL asks for it when it is imported."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = gettempdir()


def _say(last_words: str) -> None:
    """On standard error, where it takes them: it may be a file on a disk that is full."""
    with suppress(OSError):
        click.echo(last_words, err=True)


def _wrong_call(error: click.ClickException, name: str) -> FedmolError:
    """What click says of the arguments, and what to do about it, which click does not say."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    called = context.command_path if context else name
    manual = f"{called} --help"
    match error:
        case click.exceptions.NoSuchCommand():
            cure = f"take one of the commands that {manual} lists"
        case click.NoSuchOption():
            cure = f"take one of the options that {manual} lists"
        case click.MissingParameter() if context:
            cure = f"call it so: {_usage(context)}; {manual} says what each part means"
        case click.BadParameter():
            cure = f"give another value: {manual} says what is possible"
        case _ if context:
            cure = f"call it so: {_usage(context)}; options are listed by {manual}"
        case _:
            cure = f"look at {manual}"
    return FedmolError(Exit.USAGE, f"{called}: {error.format_message().rstrip('.')}", cure)


def _usage(context: click.Context) -> str:
    """The form of a call, with what has to be given: `fedmol train [OPTIONS] FILE`."""
    needed = [
        f"{max(parameter.opts, key=len)} {parameter.make_metavar(context)}"
        for parameter in context.command.get_params(context)
        if isinstance(parameter, click.Option) and parameter.required
    ]
    return " ".join([context.command_path, *context.command.collect_usage_pieces(context), *needed])


def ended_by_the_system(error: OSError) -> FedmolError:
    """What an error of the operating system means for the program, and what to do."""
    place = f"{error.filename}: " if error.filename else ""
    what = f"{place}{error.strerror or error}"
    if error.errno in STORAGE_ERRORS:
        return FedmolError(
            Exit.STORAGE, what, "make room, or repair the disk, and start again: it continues from there"
        )
    return FedmolError(Exit.USAGE, what, "check that the path exists, and that you may use it")


def log_to_stderr() -> None:
    """Log lines of the two long-running programs; OpenFL's own only when they are errors."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("openfl").setLevel(logging.ERROR)
