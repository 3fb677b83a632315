from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fedmol.chem.smiles_to_graphs import encode
from fedmol.chem.vocabulary import VOCABULARIES
from fedmol.cli.evaluate import evaluate
from fedmol.diffusion import Census, NoiseModel
from fedmol.errors import Exit, FedmolError
from fedmol.evaluation import Evaluation
from fedmol.models.denoiser import build
from fedmol.training.model_file import save_model

QM9 = VOCABULARIES["qm9-charged"]
SMILES = ["CCO", "CC", "C1CC1", "CC#N", "CCCO", "OCCO", "c1ccoc1", "CNC"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(evaluate, [str(one) for one in arguments])


@pytest.fixture
def known(tmp_path: Path) -> Path:
    path = tmp_path / "known.csv"
    path.write_text("smiles\n" + "\n".join(SMILES) + "\n")
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    sizes = (len(QM9.atoms), len(QM9.bonds), QM9.max_atoms)
    census = Census.take(encode(SMILES, QM9).graphs, *sizes)
    path = tmp_path / "model.safetensors"
    save_model(
        path,
        build("small", *sizes, seed=0, layers=1),
        preset="small",
        vocabulary=QM9,
        noise=NoiseModel.from_census(census),
    )
    return path


def test_a_model(model: Path, known: Path, tmp_path: Path) -> None:
    out, samples = tmp_path / "evaluation.json", tmp_path / "samples.smi"
    result = run(
        model, "--test", known, "--known", known, "-n", 6, "--steps", 3, "--out", out, "--samples-out", samples
    )
    assert result.exception is None
    found = Evaluation.from_json(out.read_text())
    assert (found.samples, found.sampling_steps, found.known, found.test) == (6, 3, 8, 8)
    assert len(samples.read_text().splitlines()) == found.quality.validity.count
    for word in ("validity", "novelty", "NLL", "total variation"):
        assert word in result.output


def test_a_file_of_molecules(known: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "made.smi", tmp_path / "evaluation.json"
    path.write_text("CCO\nOCC\nCCN\nnothing\n")
    result = run(path, "--known", known, "--out", out)
    assert result.exception is None
    quality = Evaluation.from_json(out.read_text()).quality
    assert (quality.validity.count, quality.validity.total) == (3, 4)
    assert (quality.novelty.count, quality.novelty.total) == (1, 2)


def test_what_the_file_held_is_said_and_shown(known: Path, tmp_path: Path) -> None:
    path, html = tmp_path / "made.smi.gz", tmp_path / "page.html"
    path.write_bytes(gzip.compress(b"SMILES Name\nCCO a\nOCC b\nnothing c\n[Na+].CC(=O)[O-] d\nC1CC1 e\n"))
    result = run(path, "--known", known, "--test", known, "--html", html)
    assert result.exception is None
    for words in (
        "5 rows",
        "1 is not a valid molecule (line 4)\n    1: not a SMILES",
        "1 repeat",
        "1 is in several fragments",
        "1 is an ion",
    ):
        assert words in result.output
    for name in ("KL score", "SNN", "Frag", "IntDiv", "FCD is left out"):
        assert name in result.output
    assert "<svg" in html.read_text()


def test_novelty_is_not_claimed_where_nothing_is_known(tmp_path: Path) -> None:
    path = tmp_path / "made.smi"
    path.write_text("CCO\n")
    assert "novel" not in run(path).output


@pytest.mark.parametrize(
    ("arguments", "exit"),
    [
        (["nowhere.safetensors"], Exit.BAD_MODEL),
        (["nowhere.smi"], Exit.BAD_DATA),
        (["made.smi", "--known", "nowhere.csv"], Exit.BAD_DATA),
        (["made.smi", "--vocabulary", "klingon"], Exit.BAD_SETTINGS),
    ],
)
def test_bad_input_has_its_own_exit(
    arguments: list[str], exit: Exit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("made.smi").write_text("CCO\n")
    error = run(*arguments).exception
    assert isinstance(error, FedmolError)
    assert error.exit is exit
