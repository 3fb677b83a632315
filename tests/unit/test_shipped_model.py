from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from rdkit import Chem

from fedmol.cli.main import run
from fedmol.diffusion import sample, samplers
from fedmol.training import load_model
from fedmol.zoo import shipped

ROOT = Path(__file__).parents[2]


def test_the_model_that_comes_along_makes_valid_molecules(tmp_path: Path) -> None:
    out = tmp_path / "molecules.csv"
    assert run(["sample", "-n", "100", "--out", str(out)]) == 0
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 100
    assert sum(row["valid"] == "true" for row in rows) >= 90
    assert len({row["smiles"] for row in rows}) >= 90


@pytest.mark.parametrize("scaffold", ["c1cc[nH]c1", "O=c1cc[nH]cc1", "C1CC1.C#N"])
def test_it_grows_scaffolds_aromatic_ones_and_ones_in_several_parts(scaffold: str, tmp_path: Path) -> None:
    out = tmp_path / "molecules.csv"
    assert run(["sample", "-n", "60", "--scaffold", scaffold, "--out", str(out)]) == 0
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    valid = [Chem.MolFromSmiles(row["smiles"]) for row in rows if row["valid"] == "true"]
    assert len(valid) >= 48
    for part in scaffold.split("."):
        assert all(mol.HasSubstructMatch(Chem.MolFromSmiles(part)) for mol in valid)


@pytest.mark.parametrize("steps", [None, 20])
def test_the_network_calls_that_readme_and_results_name_are_those_that_are_made(steps: int | None) -> None:
    model, calls = load_model(shipped()), list[int]()
    model.denoiser.register_forward_hook(lambda *_: calls.append(1))
    sample(model.denoiser, model.noise, 1, torch.Generator().manual_seed(0), steps)
    readme, results = (" ".join((ROOT / name).read_text().split()) for name in ("README.md", "docs/results/model.md"))
    default = samplers.FEW_STEP.steps
    if steps is None:
        assert f"(the default is {default} by now, {len(calls)} calls)" in results
    else:
        assert f"in {len(calls)} network calls each (`--steps {steps}`)" in readme
        assert f"in {steps} steps, which are {len(calls)} network calls (" in results
        assert f"-n 10000 --steps {steps} " in results
        assert f"10,000 samples in {steps} steps of the few-step sampler" in shipped().with_suffix(".md").read_text()


def test_it_is_small_and_has_its_card() -> None:
    assert shipped().stat().st_size < 12e6
    card = shipped().with_suffix(".md").read_text()
    for said in ("## Data", "## Training", "## Figures", "## Use", "Apache-2.0", "CC0"):
        assert said in card
