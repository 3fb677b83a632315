from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import sampling_curve as curve
from fedmol.chem import vocabulary as vocabularies
from fedmol.chem.smiles_to_graphs import encode
from fedmol.diffusion import Census, NoiseModel
from fedmol.diffusion.samplers import ANCESTRAL, FEW_STEP
from fedmol.models import build
from fedmol.training import save_model

VOCABULARY = vocabularies.get("qm9-charged")
MOLECULES = ["CCO", "CCN", "CC=O", "C1CC1", "COC", "CNC", "CC#N", "CCCC"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    denoiser = build("small", len(VOCABULARY.atoms), len(VOCABULARY.bonds), VOCABULARY.max_atoms, seed=0, layers=1)
    census = Census.take(
        encode(MOLECULES, VOCABULARY).graphs, len(VOCABULARY.atoms), len(VOCABULARY.bonds), VOCABULARY.max_atoms
    )
    save_model(
        tmp_path / "model.safetensors",
        denoiser,
        preset="small",
        vocabulary=vocabularies.get("qm9-charged"),
        noise=NoiseModel.from_census(census),
    )
    return tmp_path / "model.safetensors"


def test_points_are_measured_once_and_drawn(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tmp_path / "real.smi"
    real.write_text("\n".join(MOLECULES) + "\n")
    out = tmp_path / "bench"
    arguments = [model, "--known", real, "--test", real, "--samples", 6, "--no-fcd", "--out", out]

    def run(steps: dict[object, tuple[int, ...]]) -> list[dict[str, object]]:
        monkeypatch.setattr(curve, "_STEPS", steps)
        CliRunner().invoke(curve.sampling_curve, [str(one) for one in arguments], catch_exceptions=False)
        found: list[dict[str, object]] = json.loads((out / "sampling_curve.json").read_text())["points"]
        return found

    first = run({FEW_STEP: (2,)})
    second = run({FEW_STEP: (2, 3), ANCESTRAL: (3,)})
    assert second[0] == first[0]
    assert [(one["sampler"], one["steps"]) for one in second] == [("few-step", 2), ("few-step", 3), ("ancestral", 3)]
    assert all(one["samples"] == 6 for one in second)
    drawn = (out / "sampling_curve.svg").read_text()
    assert "few-step" in drawn
    assert drawn.count('class="line') == 12  # six panels of two lines; nothing to draw of the FCD
