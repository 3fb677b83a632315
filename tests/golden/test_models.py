"""Model files of former formats are read as what they meant when they were written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from rdkit.Chem import MolFromSmiles

from fedmol.chem.vocabulary import FORMER, get
from fedmol.documents import DocumentError
from fedmol.training.model_description import FORMAT, Description
from fedmol.training.model_file import load_model, save_model
from fedmol.zoo import shipped
from tests.golden.models import COUNT, MEASURES, PROPERTIES, RECORDED, molecules_of, path_of, recorded


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
        ("atoms", ["C", "N", "O", "As", "N++"], "not an atom type"),
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


@pytest.mark.parametrize("name", recorded())
def test_a_model_file_gives_the_molecules_that_it_gave_when_it_was_written(name: str) -> None:
    found, expected = molecules_of(load_model(RECORDED / name)), recorded()[name]
    assert sum(smiles is not None for smiles in expected) > COUNT / 2
    differing = [place for place in range(COUNT) if found[place] != expected[place]]
    assert len(differing) <= 1  # on another processor rounding may turn a draw


def test_there_is_a_model_file_of_this_format_and_of_the_former_ones_that_have_a_vocabulary() -> None:
    assert set(recorded()) == {path_of(number).name for number in range(2, FORMAT + 1)}


def test_the_same_weights_give_the_same_molecules_in_either_format() -> None:
    assert recorded()[path_of(2).name] == recorded()[path_of(3).name]


def test_the_file_of_format_4_can_be_told_its_properties() -> None:
    model = load_model(path_of(4))
    assert model.properties == PROPERTIES
    assert model.denoiser.properties == 2
    logp = [MEASURES["MolLogP"](MolFromSmiles(smiles)) if smiles else None for smiles in recorded()[path_of(4).name]]
    high, low = ([value for value in logp[start::2] if value is not None] for start in (0, 1))
    assert sum(high) / len(high) > 1.0 > 0.0 > sum(low) / len(low)  # asked for 2 and -1


def test_a_model_without_properties_is_written_as_it_always_was(tmp_path: Path) -> None:
    model = load_model(path_of(3))
    save_model(
        tmp_path / "again",
        model.denoiser,
        preset=model.preset,
        vocabulary=model.vocabulary,
        noise=model.noise,
        meta=model.meta,
        precision=torch.float16,
    )
    before, after = path_of(3).read_bytes(), (tmp_path / "again").read_bytes()
    start, begin = 8 + int.from_bytes(after[:8], "little"), 8 + int.from_bytes(before[:8], "little")
    assert after[start:] == before[begin:]
    said, known = json.loads(after[8:start]), json.loads(before[8:begin])
    assert len(said["__metadata__"].pop("content")) == 64  # which files of this format did not have at first
    assert said == known
