from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from fedmol.chem import vocabulary as vocabularies
from fedmol.cli.main import run
from fedmol.diffusion import Census, NoiseModel
from fedmol.models import build
from fedmol.training import load_model, save_model

QM9_CHARGED = 8, 4, 9


def trained(folder: Any) -> Path:
    census = Census(torch.arange(1, 9), torch.arange(1, 5), torch.arange(10))
    denoiser = build("small", *QM9_CHARGED, seed=3, layers=1)
    path: Path = folder.path / "model.safetensors"
    save_model(
        path, denoiser, preset="small", vocabulary=vocabularies.get("qm9-charged"), noise=NoiseModel.from_census(census)
    )
    return path


def test_the_exported_model_is_half_as_large_and_nearly_the_same(finished: Any, tmp_path: Path) -> None:
    whole = trained(finished)
    assert run(["export", str(finished.path), "--name", "harbour", "--out", str(tmp_path / "release")]) == 0
    half = tmp_path / "release" / "harbour.safetensors"
    assert half.stat().st_size < 0.55 * whole.stat().st_size
    ours, theirs = load_model(half), load_model(whole)
    assert ours.vocabulary.name == "qm9-charged"
    assert torch.equal(ours.noise.size_distribution, theirs.noise.size_distribution)
    for name, tensor in theirs.denoiser.state_dict().items():
        assert ours.denoiser.state_dict()[name].dtype == torch.float32
        torch.testing.assert_close(ours.denoiser.state_dict()[name], tensor, rtol=1e-3, atol=1e-6)


def test_the_card_says_what_the_run_was(finished: Any, tmp_path: Path) -> None:
    trained(finished)
    assert run(["export", str(finished.path), "--out", str(tmp_path), "--licence", "Apache-2.0"]) == 0
    card = (tmp_path / "fedmol.md").read_text()
    for said in (
        "`harbour-7`",
        "3 sites",
        "| site south | 300 training molecules |",
        "2 rounds of 60 steps",
        "Apache-2.0",
        "| validity | 0.9000 (0.8506 to 0.9343) |",
        "| NLL, published definition | 80.50 ± 0.78 |",
        "16 bits each",
    ):
        assert said in card


def test_a_run_without_figures_is_refused(folder: Any, capsys: pytest.CaptureFixture[str]) -> None:
    trained(folder.settings())
    assert run(["export", str(folder.path)]) == 2
    assert "has no evaluation.json" in capsys.readouterr().err
