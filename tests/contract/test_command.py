"""The `fedmol` command as it is started: quick to answer, and every listed command there."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from fedmol.cli.main import fedmol

COMMANDS = fedmol.list_commands(click.Context(fedmol))


def test_help_lists_every_command_without_loading_what_is_heavy() -> None:
    script = (
        "import sys; from fedmol.cli.main import run; code = run(['--help']);"
        "heavy = {'torch', 'rdkit', 'pandas', 'numpy', 'cryptography'} & set(sys.modules);"
        "print('heavy:', sorted(heavy)); sys.exit(code)"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "heavy: []" in shown
    assert all(f"  {name}" in shown for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_listed_command_is_there_under_its_name(name: str) -> None:
    command = fedmol.get_command(click.Context(fedmol), name)
    assert command is not None
    assert command.name == name
    assert command.help
