"""Model files of former formats are read as what they meant when they were written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fedmol.chem.vocabulary import FORMER, get
from fedmol.documents import DocumentError
from fedmol.training.model_description import Description
from fedmol.training.model_file import load_model
from fedmol.zoo import shipped

RECORDED = Path(__file__).parent / "models"


def _said(number: int) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((RECORDED / f"format-{number}.json").read_text())
    assert said["format"] == number
    return said


def test_format_2_means_the_vocabulary_of_its_time() -> None:
    said = Description.decode(json.dumps(_said(2)))
    assert said.vocabulary == FORMER["drug"] != get("drug")
    assert said.vocabulary.atom_labels == ["C", "N", "O", "F", "S", "Cl", "Br", "N+", "O-", "N-", "S+", "S-"]
    again = Description.decode(said.encode())
    assert again.vocabulary == said.vocabulary
    assert json.loads(again.encode())["format"] == 3


def test_the_vocabulary_of_format_3_is_in_the_file() -> None:
    said = Description.decode(json.dumps(_said(3)))
    assert (said.vocabulary.name, said.vocabulary.atom_labels) == ("ours", ["C", "N", "O", "As", "N+"])
    assert (said.vocabulary.max_atoms, said.vocabulary.recipe) == (12, "parent")
    assert json.loads(said.encode()) == _said(3)


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("atoms", ["C", "N", "O", "P", "N+"], "digest"),
        ("atoms", ["C", "N", "O", "As", "N++"], "no atom type"),
        ("atoms", ["C", "N", "O", "As", "C"], "twice"),
        ("atoms", "CNOAsC", "list"),
        ("atoms", ["C"] * 10**5, "list"),
        ("atoms", [], "0 atom types"),
        ("bonds", ["none", "single"], "bonds"),
        ("bonds", [["none"]], "list"),
        ("max_atoms", 13, "digest"),
        ("max_atoms", 10**9, "max_atoms"),
        ("name", "qm9", "comes with fedmol"),
        ("name", None, "name"),
        ("recipe", "none", "digest"),
        ("recipe", "mine", "recipe"),
        ("digest", "0" * 64, "digest"),
        ("other", 1, "other"),
    ],
)
def test_a_vocabulary_that_is_not_what_it_says_is_refused(entry: str, value: Any, message: str) -> None:
    said = _said(3)
    said["vocabulary"][entry] = value
    with pytest.raises(DocumentError, match=message):
        Description.decode(json.dumps(said))


def test_a_later_format_is_refused_by_its_number() -> None:
    with pytest.raises(DocumentError, match="format is 9, and this version of fedmol reads formats up to 4"):
        Description.decode(json.dumps({**_said(3), "format": 9}))


def test_the_model_that_comes_along_is_of_a_former_format_and_read() -> None:
    model = load_model(shipped())
    assert model.vocabulary == get("qm9-charged")
