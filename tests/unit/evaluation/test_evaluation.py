from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fedmol.chem.smiles_to_graphs import encode
from fedmol.chem.vocabulary import VOCABULARIES
from fedmol.data.molecule_files import Table
from fedmol.diffusion import Census, NoiseModel
from fedmol.errors import Exit, FedmolError
from fedmol.evaluation import Evaluation, compare, evaluate, evaluate_table
from fedmol.evaluation.nll import standard_error
from fedmol.evaluation.smiles import Contents
from fedmol.graphs import concatenate
from fedmol.models.denoiser import build
from fedmol.settings import EvaluationSettings
from fedmol.training.model_file import TrainedModel

QM9 = VOCABULARIES["qm9-charged"]
MOLECULES = encode(["CCO", "CC", "C1CC1", "CC#N", "CCCO", "OCCO", "c1ccoc1", "CNC"], QM9)
SETTINGS = EvaluationSettings(samples=12, sampling_steps=4, nll_molecules=5)


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    sizes = (len(QM9.atoms), len(QM9.bonds), QM9.max_atoms)
    census = Census.take(MOLECULES.graphs, *sizes)
    denoiser = build("small", *sizes, seed=0, layers=1).eval()
    return TrainedModel(denoiser, NoiseModel.from_census(census), "small", QM9, {})


def test_a_model_is_sampled_and_measured(model: TrainedModel, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    path = tmp_path / "samples.smi"
    known = set(MOLECULES.smiles)
    result = evaluate(model, MOLECULES.graphs, known, SETTINGS, 7, lambda *step: seen.append(step), path)
    assert result.samples == result.quality.validity.total == 12
    assert (result.known, result.test, result.sampling_steps, result.seed) == (8, 8, 4, 7)
    assert result.sampler == "few-step"
    assert result.likelihood is not None
    assert result.likelihood.molecules == 5
    assert {one.name for one in result.distances} == {"size", "atoms", "bonds", "ring sizes", "rings"}
    assert len(path.read_text().splitlines()) == result.quality.validity.count
    assert all(one.novel == (one.smiles not in known) for one in result.examples)
    assert seen[-1] == ("likelihood", 1, 1)
    assert [done for phase, done, _ in seen if phase == "sampling"] == sorted(d for p, d, _ in seen if p == "sampling")


def test_the_same_seed_measures_the_same(model: TrainedModel) -> None:
    first, second, other = (evaluate(model, MOLECULES.graphs, set(), SETTINGS, seed) for seed in (1, 1, 2))
    assert replace(first, sampling_seconds=None) == replace(second, sampling_seconds=None)
    assert first.likelihood != other.likelihood


def test_without_test_molecules_there_is_no_likelihood(model: TrainedModel) -> None:
    result = evaluate(model, None, set(), SETTINGS, 0)
    assert result.likelihood is None
    assert result.distances == ()


def test_molecules_from_a_file() -> None:
    smiles = ("OCC", "CCO", "CC.C", "no", "C(C)(C)(C)(C)C", "", "[SeH]C")
    table = Table("made.smi", "smiles", smiles, tuple(range(1, 8)))
    result = evaluate_table(table, MOLECULES.graphs, {"CCO"}, QM9)
    assert (result.quality.validity.count, result.quality.validity.total) == (4, 7)
    assert (result.quality.uniqueness.count, result.quality.uniqueness.total) == (3, 4)
    assert result.quality.connected.count == 3
    assert [one.smiles for one in result.examples] == ["CCO", "CC", "C[SeH]"]
    assert [one.novel for one in result.examples] == [False, True, True]
    assert result.distances[0].name == "size"
    assert result.resemblance is not None
    assert (result.resemblance.molecules, result.resemblance.real) == (4, 8)


def test_what_a_file_holds_is_counted() -> None:
    smiles = ("C[C@H](N)C(=O)[O-]", "[Na+].CC(=O)[O-]", "F/C=C/F", "", "C[N+](=O)[O-]", "CC", "CC", "so", "no")
    table = Table("made.smi", "smiles", smiles, tuple(range(2, 11)))
    assert evaluate_table(table, None, set(), QM9).contents == Contents(
        rows=9,
        invalid=3,
        invalid_lines=(5, 9, 10),
        duplicates=1,
        fragmented=1,
        ions=2,  # alaninate and acetate, which is larger than sodium
        charged_atoms=3,
        stereo=2,
        reasons={"aromatic ring that cannot be kekulised": 2, "empty cell": 1},
    )


def test_json_round_trip(model: TrainedModel) -> None:
    result = evaluate(model, MOLECULES.graphs, set(MOLECULES.smiles), SETTINGS, 3)
    assert Evaluation.from_json(result.to_json()) == result


def test_json_keeps_a_likelihood_that_is_not_finite(model: TrainedModel) -> None:
    result = evaluate(model, MOLECULES.graphs, set(), SETTINGS, 3)
    assert result.likelihood is not None
    broken = replace(result, likelihood=replace(result.likelihood, published=math.inf))
    assert Evaluation.from_json(broken.to_json()) == broken


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"samples": "many"}'])
def test_what_is_no_evaluation_is_refused(text: str) -> None:
    with pytest.raises(FedmolError) as refused:
        Evaluation.from_json(text, "evaluation.json")
    assert refused.value.exit is Exit.BAD_DATA
    assert "evaluation.json" in refused.value.message


def test_likelihood_does_not_depend_on_how_many_are_sampled(model: TrainedModel) -> None:
    few = evaluate(model, MOLECULES.graphs, set(), SETTINGS, 0)
    more = evaluate(model, MOLECULES.graphs, set(), SETTINGS.model_copy(update={"samples": 20}), 0)
    assert few.likelihood == more.likelihood


def test_torch_is_left_as_it_was(model: TrainedModel) -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    evaluate(model, MOLECULES.graphs, set(), SETTINGS, 0)
    assert torch.equal(torch.rand(1), expected)


def test_likelihood_is_the_mean_of_its_blocks(model: TrainedModel) -> None:
    blocks_of = EvaluationSettings(samples=1, sampling_steps=1, nll_molecules=64)
    many = concatenate([MOLECULES.graphs] * 8)
    result = evaluate(model, many, set(), blocks_of, 0)
    assert result.likelihood is not None
    assert result.likelihood.molecules == 64
    assert len(result.nll_blocks) == 8
    assert result.likelihood.published == pytest.approx(sum(result.nll_blocks) / 8)
    assert result.likelihood.standard_error == pytest.approx(standard_error(result.nll_blocks))


def test_two_models_are_asked_the_same_so_that_their_difference_is_sharp(model: TrainedModel) -> None:
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.denoiser.parameters():
            parameter.mul_(0.99)
    settings = EvaluationSettings(samples=1, sampling_steps=1, nll_molecules=256)
    many = concatenate([MOLECULES.graphs] * 32)
    rows = compare(*(evaluate(one, many, set(), settings, 0) for one in (model, other)))
    alone = evaluate(model, many, set(), settings, 0).likelihood
    assert alone is not None
    assert rows[0].noise is not None
    assert rows[0].noise < 1.96 * alone.standard_error / 2
