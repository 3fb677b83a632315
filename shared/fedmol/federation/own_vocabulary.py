"""Vocabularies that do not come with fedmol, as settings and files say them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from fedmol.chem.vocabulary import Vocabulary, check_own_name, made
from fedmol.closed import Closed
from fedmol.federation.settings_errors import checked, read_settings


class OwnVocabulary(Closed):
    """A vocabulary that does not come with fedmol: its atom types, such as C, N+ and O-, and its largest molecule."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,38}$")]
    atoms: tuple[str, ...]
    max_atoms: int

    @field_validator("atoms", mode="before")
    @classmethod
    def _listed(cls, atoms: Any) -> Any:
        """A text of labels between blanks is a list, too."""
        return atoms.split() if isinstance(atoms, str) else atoms

    @model_validator(mode="after")
    def _can_be_made(self) -> OwnVocabulary:
        check_own_name(self.name)
        made(self.name, self.atoms, self.max_atoms)
        return self


def _kind_of_vocabulary(said: Any) -> str:
    return "name" if isinstance(said, str) else "own"


AnyVocabulary = Annotated[
    Annotated[str, Tag("name")] | Annotated[OwnVocabulary, Tag("own")], Discriminator(_kind_of_vocabulary)
]


def read_vocabulary(path: Path) -> Vocabulary:
    """The vocabulary in a YAML file, by itself or as settings have it, as `fedmol data vocabulary` writes it.

    Raises:
        FedmolError: BAD_SETTINGS, with every wrong entry.
    """
    document = read_settings(path, "name a vocabulary, or make one: fedmol data vocabulary FILE")
    for section in ("model", "vocabulary"):
        if isinstance(document, dict) and document.keys() == {section}:
            document = document[section]
    own = checked(OwnVocabulary, document, str(path))
    return made(own.name, own.atoms, own.max_atoms)
