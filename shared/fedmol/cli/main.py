"""The `fedmol` command. Sub-commands are imported when they are called, so that `--help` answers at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

import click

from fedmol.extras import missing, require
from fedmol.fl.versions import PROTOCOL, SEMANTICS, written
from fedmol.runtime import call

_VERSIONS = f"%(prog)s %(version)s, protocol {written(PROTOCOL)}, semantics {SEMANTICS}"
_COMMANDS = {
    "run": ("fedmol.cli.run:run", "Run a whole federation on this machine."),
    "prepare": ("fedmol.cli.prepare:prepare", "Make shards and certificates for a trial in containers."),
    "up": ("fedmol.cli.up:up", "Run a federation of any number of sites in containers."),
    "down": ("fedmol.cli.up:down", "Remove the containers and volumes of such a federation."),
    "disturb": ("fedmol.cli.up:disturb", "Kill, pause, cut off or slow down one of its containers."),
    "render": (
        "fedmol.cli.render:render",
        "Write compose files, Helm values and others from federation.yaml.",
    ),
    "train": ("fedmol.cli.train:train", "Train a model on one file, without a federation."),
    "sample": ("fedmol.cli.sample:sample", "Generate molecules with a model."),
    "evaluate": (
        "fedmol.cli.evaluate:evaluate",
        "Evaluate a model or a file of molecules.",
    ),
    "report": ("fedmol.cli.report:report", "Write a run's report again."),
    "export": ("fedmol.cli.export:export", "Write a run's model at half its size, with a model card."),
    "data": ("fedmol.cli.data:data", "Inspect files of molecules and split them among sites."),
    "certs": ("fedmol.cli.certs:certs", "Make, sign, install and show certificates."),
    "change": ("fedmol.cli.change:change", "Sign a change to a run: sites, quorum, deadlines, rounds."),
    "log": ("fedmol.cli.event_log:log", "Check event logs for changes and contradictions."),
    "doctor": ("fedmol.doctor.command:doctor", "Check a site before it joins, or an aggregator."),
}
_EXTRAS = {  # that commands need beside the library
    "run": "run",
    "prepare": "certificates",
    "up": "containers",
    "down": "containers",
    "disturb": "containers",
    "report": "report",
    "export": "report",
    "certs": "certificates",
    "change": "certificates",
    "log": "certificates",
    "doctor": "certificates",
}


class _Commands(click.Group):
    """A group that knows its commands by name and one line, and imports the one that is called."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        if name in _EXTRAS:
            require(_EXTRAS[name], f"fedmol {name}")
        module, attribute = _COMMANDS[name][0].split(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = arguments[0]
        if name not in _COMMANDS and not name.startswith("-"):
            raise click.exceptions.NoSuchCommand(name, possibilities=_COMMANDS, ctx=context)
        return super().resolve_command(context, arguments)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, f"{summary}{_lacking(name)}") for name, (_, summary) in _COMMANDS.items()])


def _lacking(name: str) -> str:
    extra = _EXTRAS.get(name)
    return f" Needs the extra {extra}." if extra and missing(extra) else ""


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("fedmol"), prog_name="fedmol", message=_VERSIONS)
def fedmol() -> None:
    """Train one molecule generator across sites that keep their molecules to themselves."""


def run(arguments: Sequence[str]) -> int:
    """The exit code of one call of `fedmol`."""
    return call(fedmol, arguments, "fedmol")


def main() -> None:
    # More threads make these small networks slower, several times on a busy machine; whoever knows better sets it.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
