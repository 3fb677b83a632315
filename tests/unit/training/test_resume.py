"""A training that was broken off goes on to the same weights."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from fedmol.diffusion import Census, NoiseModel
from fedmol.errors import Exit, FedmolError
from fedmol.graphs import Graphs
from fedmol.models import build
from fedmol.training import TrainingConfig, flatten, resume
from fedmol.training.distributed import Trainer
from fedmol.training.loop import StepReport
from fedmol.training.resume import ResumePoint

STEPS = 6
META: dict[str, Any] = {"seed": 0, "source": "embedded"}


def _graphs() -> Graphs:
    generator = torch.Generator().manual_seed(0)
    counts = torch.randint(2, 6, (24,), generator=generator)
    bonds = torch.randint(4, (24, 5, 5), generator=generator).triu(1)
    graphs = Graphs(torch.randint(4, (24, 5), generator=generator), bonds + bonds.mT, counts)
    return Graphs(graphs.atoms * graphs.atom_mask, graphs.bonds * graphs.pair_mask, counts)


def _trainer() -> Trainer:
    graphs = _graphs()
    noise = NoiseModel.from_census(Census.take(graphs, 4, 4, 5))
    return Trainer(build("small", 4, 4, 5, seed=0, layers=1), noise, graphs, TrainingConfig(batch_size=8))


class Broken(Exception):
    pass


def _train(path: Path | None, last: int = STEPS, meta: dict[str, Any] = META) -> tuple[list[int], bytes]:
    """The steps that were taken, and the weights after them; broken off after the step `last`."""
    steps: list[int] = []

    def on_step(report: StepReport) -> None:
        if report.step == last:
            raise Broken
        steps.append(report.step)

    with _trainer() as trainer:
        point = ResumePoint(path, meta, trainer)
        with suppress(Broken):
            point.train_to_the_end(STEPS, torch.Generator().manual_seed(1), on_step)
        return steps, flatten(trainer.denoiser).tobytes()


@pytest.fixture(autouse=True)
def kept_at_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "_KEEP_EVERY", -1.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "position.safetensors"


@pytest.mark.parametrize("last", [1, 4])
def test_it_goes_on_at_the_next_step_to_the_same_weights(path: Path, last: int) -> None:
    undisturbed = _train(None)
    assert undisturbed[0] == [*range(STEPS)]
    first, _ = _train(path, last=last)
    second, weights = _train(path)
    assert (first, second) == ([*range(last)], [*range(last, STEPS)])
    assert weights == undisturbed[1]


def test_without_a_path_nothing_is_kept(tmp_path: Path) -> None:
    _train(None, last=3)
    assert list(tmp_path.iterdir()) == []


def test_it_is_kept_now_and_then(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "_KEEP_EVERY", 3600.0)
    _train(path)
    assert not path.exists()


def test_the_position_of_another_training_is_not_taken_up(path: Path) -> None:
    _train(path, last=3)
    steps, weights = _train(path, meta={**META, "seed": 1})
    assert steps == [*range(STEPS)]
    assert weights == _train(None)[1]


def test_a_damaged_position_is_refused(path: Path) -> None:
    _train(path, last=3)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(FedmolError) as refused:
        _train(path)
    assert refused.value.exit is Exit.STATE_UNUSABLE
