"""Kinds of arguments that several commands take, checked before their work begins."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import click

from fedmol.chem.vocabulary import RECIPES, VOCABULARIES, Vocabulary
from fedmol.errors import Exit, FedmolError
from fedmol.files import check_replaceable
from fedmol.settings import LARGEST_SEED, MOST_THREADS, ModelSettings, vocabulary_named

SEED = click.IntRange(0, LARGEST_SEED)
THREADS = click.IntRange(1, MOST_THREADS)

standardise = click.option(
    "--standardise",
    default="none",
    show_default=True,
    type=click.Choice(RECIPES),
    help="parent: make salts, charged forms and tautomers of a substance the same molecule",
)


class VocabularyName(click.ParamType[Vocabulary]):
    """A vocabulary that comes with fedmol, or a YAML file that says the atoms and sizes of another."""

    name = "name or file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Vocabulary:
        return vocabulary_named(value)


vocabulary = click.option(
    "--vocabulary",
    default=ModelSettings().vocabulary,
    show_default=True,
    type=VocabularyName(),
    help=f"atoms and sizes: {', '.join(VOCABULARIES)}, or a .yaml file from `fedmol data vocabulary`",
)


class OutputFile(click.ParamType[Path]):
    """A file that can be written, or written over, when the work is done; says which folder will be made for it."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(value)
        try:
            folder = next(parent for parent in path.absolute().parents if parent.exists())
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
        if folder != path.absolute().parent:
            click.echo(f"{path.parent} does not exist: the folder will be made", err=True)
        return path
