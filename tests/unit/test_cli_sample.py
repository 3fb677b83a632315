"""fedmol sample, with a model that knows nothing."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result
from rdkit import Chem

from fedmol import zoo
from fedmol.chem import vocabulary as vocabularies
from fedmol.chem.generated_molecules import NO_SCAFFOLD
from fedmol.chem.smiles_to_graphs import encode
from fedmol.chem.stereo import MOST
from fedmol.cli import sample as module
from fedmol.cli.sample import sample
from fedmol.diffusion import Census, NoiseModel
from fedmol.errors import Exit, FedmolError
from fedmol.library import model as library
from fedmol.models import build
from fedmol.training import save_model

VOCABULARY = vocabularies.get("qm9-charged")
MOLECULES = ["CCO", "CCN", "CC=O", "C1CC1", "COC", "CNC", "CC#N", "CCCC", "OCCO"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network whose outputs lean so far towards single bonds in small molecules that some are valid."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    denoiser = build("small", len(VOCABULARY.atoms), len(VOCABULARY.bonds), VOCABULARY.max_atoms, seed=0, layers=1)
    with torch.no_grad():
        for part, leaning in (("nodes_out", [5.5, 0, 5, 5, -9, -9, -9, -9]), ("pairs_out", [4.0, 4, -9, -9])):
            *_, last = denoiser.get_submodule(part).children()
            assert isinstance(last, torch.nn.Linear)
            last.weight.zero_()
            last.bias.copy_(torch.tensor(leaning))
    census = Census.take(encode(MOLECULES, VOCABULARY).graphs, 8, 4, 9)
    save_model(
        path, denoiser, preset="small", vocabulary=vocabularies.get("qm9-charged"), noise=NoiseModel.from_census(census)
    )
    return path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(sample, [*map(str, arguments), "--steps", "3"], catch_exceptions=False)


def test_the_table_has_every_molecule_and_the_counts_agree(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "made.csv"
    made = call(model, "-n", 60, "--out", out)
    table = pd.read_csv(out)
    valid = table[table.valid]
    assert len(table) == 60
    assert 0 < len(valid) < 60
    assert f"{len(valid)} valid ({valid.smiles.nunique()} unique), {60 - len(valid)} invalid of 60" in made.output
    assert table.novel.isna().all()
    assert table.reason[~table.valid].notna().all()


def test_known_molecules_are_not_novel(model: Path, tmp_path: Path) -> None:
    known, out = tmp_path / "known.smi", tmp_path / "made.csv"
    call(model, "-n", 4, "--unique", "--out", known)
    call(model, "-n", 60, "--out", out, "--seed", 1, "--known", known)
    table = pd.read_csv(out)
    table = table[table.valid]
    assert table.novel.tolist() == [smiles not in known.read_text().split() for smiles in table.smiles]
    assert table.novel.nunique() == 2


def test_known_molecules_may_be_of_any_kind(model: Path, tmp_path: Path) -> None:
    """They are not to be generated: none has to fit the model's vocabulary, and one may be all there is."""
    known, out = tmp_path / "known.csv", tmp_path / "made.csv"
    known.write_text("name;Canonical_SMILES\nimatinib;Cc1ccc(NC(=O)c2ccc(CN3CCN(C)CC3)cc2)cc1Nc1nccc(-c2cccnc2)n1\n")
    call(model, "-n", 20, "--out", out, "--known", known)
    table = pd.read_csv(out)
    assert table.novel[table.valid].all()


def test_equal_seeds_give_equal_files_and_others_do_not(model: Path, tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in ("1.csv", "2.csv", "3.csv"))
    for out, seed in ((first, 5), (second, 5), (third, 6)):
        call(model, "-n", 30, "--seed", seed, "--out", out)
    assert first.read_bytes() == second.read_bytes() != third.read_bytes()


def test_blocks_leave_no_seam(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(library.BLOCK, "cpu", 16)
    made = call(model, "-n", 40, "--out", tmp_path / "made.csv")
    assert "of 40" in made.output
    assert len(pd.read_csv(tmp_path / "made.csv")) == 40


def test_unique_writes_each_molecule_once(model: Path, tmp_path: Path) -> None:
    made = call(model, "-n", 60, "--unique", "--out", tmp_path / "made.smi")
    lines = (tmp_path / "made.smi").read_text().splitlines()
    assert len(lines) == len(set(lines)) > 0
    assert f"({len(lines)} unique)" in made.output


def test_a_scaffold_is_in_every_molecule(model: Path, tmp_path: Path) -> None:
    call(model, "-n", 60, "--scaffold", "C1CO1", "--atoms", 4, "--out", tmp_path / "made.smi")
    found = [Chem.MolFromSmiles(line) for line in (tmp_path / "made.smi").read_text().splitlines()]
    assert found
    assert all(mol.HasSubstructMatch(Chem.MolFromSmiles("C1CO1")) for mol in found)
    assert all(mol.GetNumAtoms() == 4 for mol in found)


def test_what_lacks_the_scaffold_is_invalid_and_counted(model: Path, tmp_path: Path) -> None:
    """The model closes rings at random, aromatic ones among them."""
    out = tmp_path / "made.csv"
    made = call(model, "-n", 400, "--scaffold", "C=CC=N", "--atoms", 5, "--out", out)
    table = pd.read_csv(out)
    lacking = table[table.reason == NO_SCAFFOLD]
    scaffold = Chem.MolFromSmiles("C=CC=N")
    assert len(lacking)
    assert not lacking.valid.any()
    assert not lacking.relaxed.any()
    assert not any(Chem.MolFromSmiles(smiles).HasSubstructMatch(scaffold) for smiles in lacking.smiles)
    assert all(Chem.MolFromSmiles(smiles).HasSubstructMatch(scaffold) for smiles in table.smiles[table.valid])
    assert f"invalid of 400 ({len(lacking)} without the scaffold)" in " ".join(made.output.split())


@pytest.mark.parametrize("most", [1, 2])
def test_isomers_are_of_the_molecules_that_are_written_without_them(model: Path, tmp_path: Path, most: int) -> None:
    plain, isomers = tmp_path / "plain.csv", tmp_path / "isomers.csv"
    call(model, "-n", 60, "--unique", "--out", plain)
    made = call(model, "-n", 60, "--unique", "--stereo", most, "--out", isomers)
    before, after = pd.read_csv(plain), pd.read_csv(isomers)
    assert before.columns.tolist() == after.columns.tolist()[:-2]
    valid = after[after.valid]
    assert valid.drawn.drop_duplicates().tolist() == before.smiles[before.valid].tolist()
    assert (after.valid.eq(False)).sum() == (before.valid.eq(False)).sum()
    rows = valid.groupby("drawn", sort=False)
    assert (rows.size() == rows.isomers.first().clip(upper=most)).all()
    flat = [Chem.MolToSmiles(Chem.MolFromSmiles(one), isomericSmiles=False) for one in valid.smiles]
    assert flat == valid.drawn.tolist()
    assert 1 < rows.isomers.first().max() < 4
    said = f"{len(valid)} stereoisomers of {len(rows)} molecules ({(rows.isomers.first() > most).sum()} have more)"
    assert f"stereo is not modelled: wrote {said}, at most {most} of each" in " ".join(made.output.split())


def test_without_stereo_nothing_is_said_of_it(model: Path, tmp_path: Path) -> None:
    made = call(model, "-n", 20, "--out", tmp_path / "made.csv")
    assert "stereoisomers" not in made.output
    assert "not modelled" not in made.output
    assert (tmp_path / "made.csv").read_text().startswith("smiles,valid,relaxed,connected,novel,reason\n")


def test_the_number_of_isomers_is_bounded_by_what_is_looked_at(model: Path, tmp_path: Path) -> None:
    assert module._MOST_ISOMERS == MOST
    for wrong in (0, MOST + 1):
        refused = call(model, "-n", 1, "--stereo", wrong, "--out", tmp_path / "made.smi")
        assert refused.exit_code == Exit.USAGE
        assert "1<=x<=1024" in refused.output


@pytest.mark.parametrize(
    ("arguments", "exit", "said"),
    [
        (("--scaffold", "CCCCCCCCC"), Exit.USAGE, "at most 9"),
        (("--scaffold", "CCCC", "--atoms", 4), Exit.USAGE, "5 to 9"),
        (("--atoms", 10), Exit.USAGE, "1 to 9"),
        (("--sampler", "magic"), Exit.BAD_SETTINGS, "few-step"),
        (("--out", "made.xyz"), Exit.USAGE, ".sdf"),
    ],
)
def test_what_cannot_be_done_is_said(model: Path, arguments: tuple[object, ...], exit: Exit, said: str) -> None:
    with pytest.raises(FedmolError) as caught:
        call(model, *arguments)
    assert caught.value.exit is exit
    assert said in str(caught.value)


def test_a_failure_leaves_no_file(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(library, "molecules_of", fails)
    CliRunner().invoke(sample, [str(model), "--out", str(tmp_path / "made.smi"), "--steps", "1"])
    assert list(tmp_path.iterdir()) == []


def test_without_a_model_the_shipped_one_is_taken(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "shipped", lambda _: model)
    assert "of 5" in call("-n", 5, "--out", tmp_path / "made.smi").output


def test_a_missing_shipped_model_is_said() -> None:
    with pytest.raises(FedmolError) as caught:
        zoo.shipped("none")
    assert caught.value.exit is Exit.BAD_MODEL
    assert "it has qm9" in caught.value.message
