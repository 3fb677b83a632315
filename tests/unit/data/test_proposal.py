from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from fedmol.chem.vocabulary import AtomType, Vocabulary
from fedmol.cli.main import run
from fedmol.data.embedded import embedded
from fedmol.data.proposal import Kinds, comments, kinds_of, propose
from fedmol.errors import Exit
from fedmol.settings import read_vocabulary


def kinds(*said: tuple[str, int, int]) -> Kinds:
    """(labels, heavy atoms, molecules) of each."""
    return Kinds({(frozenset(map(AtomType.of, labels.split())), size): count for labels, size, count in said})


def test_the_rarest_goes_first() -> None:
    found = propose("ours", kinds(("C", 9, 900), ("C N", 9, 90), ("C P", 9, 6), ("C N N+", 200, 4)), 0.993)
    assert found.vocabulary == Vocabulary.of("ours", ["C", "N", "P"], 9)
    assert (found.molecules, found.left_out, found.types, found.larger, found.neutral) == (1000, 4, {}, 4, 0)


def test_charges_that_a_vocabulary_of_neutral_atoms_drops_are_told() -> None:
    charged = kinds(("C", 9, 900), ("C N N+", 9, 1))
    found = propose("ours", charged, 0.99)
    assert (found.vocabulary, found.left_out, found.types) == (Vocabulary.of("ours", ["C"], 9), 1, {AtomType("N"): 1})
    told = list(comments(found, charged))
    assert "qm9 holds 901 of 901 molecules (100.00%), 1 of them without their charges" in told
    assert "qm9-charged holds 901 of 901 molecules (100.00%)" in told


def test_everything_is_kept_where_nothing_may_be_lost() -> None:
    found = propose("ours", kinds(("C", 9, 900), ("C N", 9, 90), ("C Pt", 12, 1)), 1.0)
    assert found.vocabulary == Vocabulary.of("ours", ["C", "N", "Pt"], 12)
    assert found.left_out == 0


def test_one_huge_molecule_does_not_decide() -> None:
    assert propose("ours", kinds(("C", 9, 999), ("C", 400, 1)), 0.995).vocabulary.max_atoms == 9


def test_what_no_vocabulary_can_hold_counts_as_lost() -> None:
    with pytest.raises(ValueError, match=r"no vocabulary holds 99\.5% of the 10 molecules"):
        propose("ours", kinds(("C", 9, 5), ("C", 900, 5)), 0.995)
    with pytest.raises(ValueError, match="of the 0 molecules"):
        propose("ours", Kinds(), 0.995)


def test_kinds_are_counted_by_the_recipe() -> None:
    texts = ["CCO", "OCC", "C[NH3+].[Cl-]", "no SMILES", ""]
    assert kinds_of(texts, "none") == kinds(("C O", 3, 2))
    assert kinds_of(texts, "parent") == kinds(("C O", 3, 2), ("C N", 2, 1))


def test_what_is_proposed_can_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, vocabulary = tmp_path / "shard.smi", tmp_path / "ours.yaml"
    file.write_text("\n".join([*embedded()[:300], "CCCCC[As](C)C", "C" * 40, "CCN.Cl"]))
    assert run(["data", "vocabulary", str(file), "--name", "mine"]) == 0
    said = capsys.readouterr().out
    assert "# it holds 301 of 302 molecules" in said
    assert "# larger than 9 heavy atoms: 1" in said
    assert "# 1 row that no vocabulary holds" in said
    vocabulary.write_text("model:\n  " + said.splitlines()[-1])
    assert read_vocabulary(vocabulary).name == "mine"
    vocabulary.write_text(said)
    proposed = read_vocabulary(vocabulary)
    assert (proposed.name, proposed.max_atoms) == ("mine", 9)
    assert AtomType("As") in proposed.atoms
    assert run(["data", "card", str(file), "--vocabulary", str(vocabulary)]) == 0
    assert "too large for the vocabulary mine" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vocabulary: {name: ours, atoms: [C, No], max_atoms: 9}", "YAML reads false"),
        ("{name: ours, atoms: [C, X], max_atoms: 9}", "'X' is not an atom type"),
        ("{name: Ours, atoms: [C], max_atoms: 9}", "'Ours' is no name"),
        ("{name: drug, atoms: [C], max_atoms: 9}", "comes with fedmol"),
        ("{name: ours, atoms: 6, max_atoms: 9}", "atoms"),
        ("{name: ours, atoms: [C]}", "max_atoms: Field required"),
        ("{name: ours, atoms: [C], max_atoms: many}", "max_atoms"),
        ("{name: ours, atoms: [C], max_atoms: 9, bonds: [single]}", "there is no such entry"),
        ("[C, N]", "the whole: "),
        ("{name: ours, atoms: [C, H], max_atoms: 9}", "graphs leave hydrogens out"),
        ("{name: ours, atoms: [C, O+9], max_atoms: 9}", "a charge up to 4"),
    ],
)
def test_a_file_that_says_no_vocabulary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    file = tmp_path / "ours.yaml"
    file.write_text(text)
    assert run(["data", "card", "nowhere.smi", "--vocabulary", str(file)]) == Exit.BAD_SETTINGS
    said = capsys.readouterr().err
    assert message in said
    assert str(file) in said


def test_yaml_of_a_proposal_quotes_what_yaml_would_not_take_for_text() -> None:
    found = propose("ours", kinds(("C N No Y", 9, 10)), 1.0)
    assert yaml.safe_load(found.yaml)["vocabulary"]["atoms"] == ["C", "N", "No", "Y"]
