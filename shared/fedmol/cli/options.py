"""Kinds of arguments that several commands take, checked before their work begins."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import click

from fedmol.chem.vocabulary import RECIPES
from fedmol.errors import Exit, FedmolError
from fedmol.federation.settings import LARGEST_SEED, MOST_THREADS
from fedmol.files import check_replaceable

SEED = click.IntRange(0, LARGEST_SEED)
THREADS = click.IntRange(1, MOST_THREADS)

standardise = click.option(
    "--standardise",
    default="none",
    show_default=True,
    type=click.Choice(RECIPES),
    help="parent: write salts, charged forms and tautomers of a substance alike",
)


class OutputFile(click.ParamType[Path]):
    """A file that can be written, or written over, when the work is done."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(value)
        try:
            folder = next(one for one in path.absolute().parents if one.exists())
            if not folder.is_dir():
                raise NotADirectoryError(0, f"{folder} is a file, not a folder")
            check_replaceable(path)
            with TemporaryFile(dir=folder):  # permissions alone do not tell
                pass
        except IsADirectoryError:
            raise FedmolError(Exit.USAGE, f"{path} is a folder, not a file", "name a file in it") from None
        except OSError as error:
            what = f"{path} cannot be written: {error.strerror}"
            raise FedmolError(Exit.USAGE, what, "name a file in a folder that you may write to") from None
        return path
