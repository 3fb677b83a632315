"""fedmol as a library: what `import fedmol` offers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from rdkit import Chem

import fedmol
from fedmol.cli.sample import sample
from fedmol.cli.train import train as train_command
from fedmol.data.molecule_files import Table
from fedmol.errors import Exit
from fedmol.evaluation import reference_molecules
from fedmol.library import fitting
from fedmol.library import model as models
from fedmol.training.model_file import load_model
from fedmol.zoo import shipped

MOLECULES = ["CCO", "CCN", "CCC", "CC=O", "C1CC1", "C#N", "COC", "CNC", "CC(C)O", "OCCO", "NCCO", "C=C", "CC#N", "CF"]
SMALL: dict[str, Any] = {"steps": 4, "batch_size": 8, "layers": 1, "device": "cpu"}
FEW: dict[str, Any] = {"seed": 3, "steps": 8}


@pytest.fixture(scope="module")
def model() -> fedmol.Model:
    return fedmol.load("qm9", device="cpu")


@pytest.fixture(scope="module")
def molecules(model: fedmol.Model) -> fedmol.Molecules:
    return model.sample(30, **FEW)


def refusal(call: Any, *arguments: Any, **options: Any) -> fedmol.FedmolError:
    with pytest.raises(fedmol.FedmolError) as caught:
        call(*arguments, **options)
    assert caught.value.cure
    return caught.value


def test_importing_it_loads_nothing_heavy() -> None:
    heavy = {"torch", "rdkit", "numpy", "pydantic", "click", "rich"}
    code = f"import sys, fedmol; dir(fedmol); print({heavy!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("name", fedmol.__all__)
def test_what_it_offers_is_there_and_described(name: str) -> None:
    assert getattr(fedmol, name).__doc__
    assert name in dir(fedmol)


def test_what_it_does_not_offer_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'generate'"):
        fedmol.generate  # noqa: B018


def test_the_valid_molecules_are_the_sequence(molecules: fedmol.Molecules) -> None:
    assert len(molecules.drawn) == 30
    assert 0 < len(molecules) == len(molecules.smiles) == 30 - len(molecules.invalid)
    assert all(one.valid for one in molecules)
    assert all(one.reason for one in molecules.invalid)
    assert [one.smiles for one in molecules[:3]] == list(molecules.smiles[:3])
    assert Chem.MolToSmiles(molecules[0].mol) == molecules[0].smiles
    assert str(molecules).startswith(f"{len(molecules)} valid ({len(molecules.unique)} unique), ")


def test_equal_seeds_draw_equal_molecules(model: fedmol.Model, molecules: fedmol.Molecules) -> None:
    assert model.sample(30, **FEW).smiles == molecules.smiles
    assert model.sample(30, **{**FEW, "seed": 4}).smiles != molecules.smiles


def test_the_command_writes_what_the_library_draws(molecules: fedmol.Molecules, tmp_path: Path) -> None:
    out, saved = tmp_path / "command.csv", tmp_path / "library.csv"
    done = CliRunner().invoke(sample, ["qm9", "-n", "30", "--seed", "3", "--steps", "8", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert str(molecules) in done.output
    molecules.save(saved)
    assert saved.read_bytes() == out.read_bytes()


def test_blocks_are_the_same_molecules(model: fedmol.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(models.BLOCK, "cpu", 8)
    told: list[float] = []
    parts = list(model.blocks(20, **FEW, on_progress=lambda done, total: told.append(done / total)))
    whole = model.sample(20, **FEW)
    assert [len(part.drawn) for part in parts] == [8, 8, 4]
    assert [one for part in parts for one in part.drawn] == list(whole.drawn)
    assert len(whole.graphs) == 20
    assert told[-1] == 1
    assert told == sorted(told)


def test_novelty_is_told_by_any_known_molecules(model: fedmol.Model, molecules: fedmol.Molecules) -> None:
    known: list[Any] = [molecules[0].mol, molecules.smiles[1]]
    again = model.sample(30, **FEW, known=known)
    seen = set(molecules.smiles[:2])
    assert [one.novel for one in again] == [one.smiles not in seen for one in again]
    assert molecules[0].novel is None


def test_a_scaffold_decides_what_is_valid_and_how_it_is_measured(model: fedmol.Model) -> None:
    grown = model.sample(12, scaffold="c1cc[nH]c1", atoms=7, seed=1, steps=10)
    ring = Chem.MolFromSmiles("c1cc[nH]c1")
    assert all(one.mol.HasSubstructMatch(ring) and one.mol.GetNumAtoms() == 7 for one in grown)
    assert fedmol.evaluate(grown).quality.validity.count == len(grown)


def test_stereoisomers_are_of_the_valid_ones(molecules: fedmol.Molecules, tmp_path: Path) -> None:
    isomers = [smiles for one in molecules for smiles in one.stereoisomers(2).smiles]
    molecules.save(tmp_path / "isomers.smi", stereo=2)
    assert (tmp_path / "isomers.smi").read_text().split() == isomers


def test_what_is_saved_is_read_as_it_was(model: fedmol.Model, tmp_path: Path) -> None:
    """The shipped model has 16-bit weights and names another digest; a trained one has rounded shares of its noise."""
    for one in (model, fedmol.train(MOLECULES, **SMALL)):
        one.save(tmp_path / "same.safetensors")
        again = fedmol.load(tmp_path / "same.safetensors", device="cpu")
        assert again.meta == one.meta
        assert again.vocabulary == one.vocabulary
        for mine, theirs in (
            (one.trained.noise.bond_marginal, again.trained.noise.bond_marginal),
            (one.trained.noise.atom_marginal, again.trained.noise.atom_marginal),
            (one.trained.noise.size_distribution, again.trained.noise.size_distribution),
        ):
            assert torch.equal(mine, theirs)
        weights = again.trained.denoiser.state_dict()
        assert all(torch.equal(weights[key], value) for key, value in one.trained.denoiser.state_dict().items())
    model.save(tmp_path / "shipped.safetensors")
    assert (tmp_path / "shipped.safetensors").stat().st_size < 1.1 * shipped().stat().st_size


def test_a_model_says_what_it_is(model: fedmol.Model, tmp_path: Path) -> None:
    assert "1,424,012 parameters" in repr(model)
    assert model.card is not None
    assert model.card.startswith("# qm9")
    model.save(tmp_path / "bare.safetensors")
    assert fedmol.load(str(tmp_path / "bare.safetensors"), device="cpu").card is None


def test_the_command_writes_what_the_library_trains(tmp_path: Path) -> None:
    table, out, saved = tmp_path / "molecules.csv", tmp_path / "command.safetensors", tmp_path / "library.safetensors"
    table.write_text("\n".join(["smiles", *MOLECULES]) + "\n")
    options = ["--steps", "4", "--batch-size", "8", "--layers", "1", "--device", "cpu", "--out", str(out)]
    done = CliRunner().invoke(train_command, [str(table), *options])
    assert done.exit_code == 0, done.output
    told: list[tuple[int, int]] = []
    model = fedmol.train(table, **SMALL, on_step=lambda report, total: told.append((report.step, total)))
    model.save(saved)
    assert saved.read_bytes() == out.read_bytes()
    assert told == [(0, 4), (1, 4), (2, 4), (3, 4)]
    assert model.fit is not None
    assert model.fit.steps == 4
    assert model.fit.molecules + len(model.fit.validation) == len(MOLECULES) == model.fit.data.kept
    assert f"validation NLL {model.nll().published:.2f}" in done.output
    assert not (tmp_path / "command.safetensors.resume").exists()


def test_training_stays_within_the_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "seconds_per_step", lambda *_: 2.0)
    model = fedmol.train(MOLECULES, **{**SMALL, "steps": None}, minutes=0.1)
    assert model.fit is not None
    assert model.fit.steps == 3
    assert model.meta["training"]["steps"] == 3


def test_the_steps_of_a_machine_are_measured() -> None:
    model = fedmol.train(MOLECULES, **{**SMALL, "steps": None}, minutes=1e-9)
    assert model.meta["training"]["steps"] == 1


def test_whatever_is_left_out_is_said() -> None:
    with pytest.warns(fedmol.DataWarning, match=r"1 of 16 rows are left out: not a SMILES but of the type float"):
        model = fedmol.train([*MOLECULES, float("nan"), "CCO"], **SMALL)  # type: ignore[list-item]
    assert model.fit is not None
    assert model.fit.data.duplicates == 1
    with pytest.warns(fedmol.DataWarning, match="known molecules: 1 of 2 rows are left out: not a SMILES"):
        fedmol.evaluate(["CCO"], known=["CCO", "nothing"])
    told: list[str] = []
    fedmol.evaluate(["CCO", "CCN"], test=["CCO", "CC[Si]"], tell=told.append)
    assert len(told) == 1
    assert told[0].startswith("test molecules: 1 of 2 rows are left out: element not in the vocabulary")


def test_what_was_drawn_is_measured_as_the_model_is(model: fedmol.Model, molecules: fedmol.Molecules) -> None:
    real = ["CCO", "CCN", "C1CC1", "CC=O"]
    drawn = fedmol.evaluate(molecules, test=real, known=real)
    whole = fedmol.evaluate(model, test=real, known=real, samples=30, **FEW)
    assert whole.likelihood is not None
    assert drawn.likelihood is None
    for name in ("quality", "distances", "resemblance", "examples", "sampler", "sampling_steps", "seed", "samples"):
        assert getattr(drawn, name) == getattr(whole, name), name
    assert fedmol.evaluate(list(molecules)).quality.validity.count == len(molecules)


def test_an_evaluation_is_printed_in_a_few_lines(model: fedmol.Model) -> None:
    said = str(fedmol.evaluate(model, test=MOLECULES, samples=5, **FEW))
    for name in ("5 molecules", "validity", "uniqueness", "NLL", "KL score"):
        assert name in said
    assert "novelty" not in said
    assert "novelty" in str(fedmol.evaluate(["CCO", "CCN"], known=MOLECULES))


def test_a_set_by_name_is_not_trained_on_what_it_is_tested_with(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tuple(f"{'C' * k}O{'C' * j}" for k in range(1, 12) for j in range(k, 12))
    table = Table("qm9", "smiles", rows, range(1, len(rows) + 1))
    monkeypatch.setattr(reference_molecules, "_qm9", lambda: (table, rows))
    parts = [
        reference_molecules.table_to_train_on("qm9", "smiles"),
        reference_molecules._table("qm9", "test", "smiles"),
    ]
    trained_on, tested = (set(part.smiles) for part in parts)
    assert len(tested) > 3
    assert trained_on | tested == set(rows)
    assert not trained_on & tested


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"count": 0}, "count cannot be '0'"),
        ({"count": 2.5}, "count cannot be '2.5'"),
        ({"seed": -1}, "seed"),
        ({"steps": 0}, "steps"),
        ({"threads": 0}, "threads"),
        ({"atoms": 10}, "1 to 9"),
        ({"sampler": "magic"}, "few-step"),
        ({"scaffold": "nonsense"}, "not a SMILES"),
        ({"known": []}, "no molecules"),
    ],
)
def test_what_cannot_be_drawn_is_said_at_once(model: fedmol.Model, options: dict[str, Any], said: str) -> None:
    assert said in str(refusal(model.blocks, **options))


@pytest.mark.parametrize(
    ("options", "exit"),
    [
        ({"steps": 0}, Exit.USAGE),
        ({"steps": 5, "minutes": 1}, Exit.USAGE),
        ({"minutes": 0}, Exit.USAGE),
        ({"validation_share": 1}, Exit.USAGE),
        ({"learning_rate": -1.0}, Exit.USAGE),
        ({"batch_size": True}, Exit.USAGE),
        ({"optimizer": "adam"}, Exit.USAGE),
        ({"device": "gpu"}, Exit.USAGE),
        ({"execution": "fast"}, Exit.USAGE),
        ({"standardise": "all"}, Exit.USAGE),
        ({"processes": 0}, Exit.USAGE),
        ({"preset": "huge"}, Exit.BAD_SETTINGS),
        ({"vocabulary": "klingon"}, Exit.BAD_SETTINGS),
    ],
)
def test_what_cannot_be_trained_is_said(options: dict[str, Any], exit: Exit) -> None:
    assert refusal(fedmol.train, MOLECULES, **options).exit is exit


def test_what_is_not_there_is_said(tmp_path: Path, model: fedmol.Model) -> None:
    assert refusal(fedmol.load, "nothing").exit is Exit.BAD_MODEL
    assert refusal(fedmol.load, None).exit is Exit.USAGE
    assert refusal(fedmol.load, "qm9", device="gpu").exit is Exit.USAGE
    assert refusal(fedmol.evaluate, model, vocabulary="drug").exit is Exit.USAGE
    assert refusal(fedmol.train, tmp_path / "none.csv").exit is Exit.BAD_DATA
    assert refusal(fedmol.train, 5).exit is Exit.USAGE
    assert refusal(fedmol.evaluate, []).exit is Exit.BAD_DATA
    assert refusal(model.nll).exit is Exit.USAGE
    assert refusal(model.save, tmp_path).exit is Exit.USAGE
    assert refusal(model.sample(2, steps=2).save, tmp_path / "made.xyz").exit is Exit.USAGE


def test_threads_are_as_many_as_before(model: fedmol.Model) -> None:
    before = torch.get_num_threads()
    model.sample(2, steps=1, threads=before + 1)
    assert torch.get_num_threads() == before


def test_a_model_that_was_read_and_saved_keeps_every_share(tmp_path: Path) -> None:
    """Rounding shares to four digits a second time changes some of them."""
    path, again = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    many = [f"{'C' * k}{'O' * (k % 3 == 0)}{'N' * (k % 5 == 0)}" for k in range(1, 8)] * 3 + MOLECULES
    fedmol.train(many, **SMALL).save(path)
    load_model(path).save(again)
    assert again.read_bytes() == path.read_bytes()


def test_a_script_without_a_guard_may_use_several_processes(tmp_path: Path) -> None:
    """They import what they are to do, and not the script, which would start them once more."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os\n"
        "from fedmol.data.parallel import in_blocks\n"
        "print('here', os.getpid())\n"
        "print(list(in_blocks(len, ['C'] * 9000, processes=2)))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("here")
    assert second == "[4000, 4000, 1000]"
