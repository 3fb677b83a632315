from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch

from fedmol.diffusion import Census, Logits, NoiseModel
from fedmol.errors import Exit, FedmolError
from fedmol.graphs import Graphs
from fedmol.models import Denoiser, build
from fedmol.models.digress import Residual
from fedmol.training import (
    Optimizers,
    StepReport,
    TrainingConfig,
    TrainingReport,
    batches,
    build_optimizer,
    flatten,
    learning_rate,
    load_optimizer_tensors,
    loop,
    optimizer_tensors,
    train,
)
from fedmol.training.sealed_tensors import load, save

CONFIG = TrainingConfig(batch_size=16)


def chains() -> Graphs:
    """Unbranched carbon chains of 2 to 5 atoms that end in oxygen."""
    counts = torch.tensor([2, 3, 4, 5])
    atoms = torch.zeros(4, 5, dtype=torch.int8)
    bonds = torch.zeros(4, 5, 5, dtype=torch.int8)
    for row, n in enumerate(counts.tolist()):
        atoms[row, n - 1] = 2
        for i in range(n - 1):
            bonds[row, i, i + 1] = bonds[row, i + 1, i] = 1
    return Graphs(atoms, bonds, counts)


NOISE = NoiseModel.from_census(Census.take(chains(), 4, 5, 9))


def fresh(preset: str = "small") -> tuple[Denoiser, Optimizers]:
    denoiser = build(preset, 4, 5, 9, seed=0, layers=1)
    return denoiser, build_optimizer(denoiser, CONFIG)


def run(
    denoiser: Denoiser,
    optimizer: Optimizers,
    first: int,
    steps: int,
    seed: int = 5,
    on_step: Callable[[StepReport], None] | None = None,
) -> TrainingReport:
    return train(
        denoiser,
        optimizer,
        NOISE,
        chains(),
        first_step=first,
        steps=steps,
        total_steps=20,
        config=CONFIG,
        generator=torch.Generator().manual_seed(seed),
        on_step=on_step,
    )


@pytest.mark.parametrize("preset", ["small", "digress"])
def test_equal_seeds_give_equal_bytes(preset: str) -> None:
    models = []
    for noise in (1, 2):
        torch.manual_seed(noise)  # the global generator must not matter, dropout included
        denoiser, optimizer = fresh(preset)
        run(denoiser, optimizer, 0, 4)
        models.append(flatten(denoiser).tobytes())
    denoiser, optimizer = fresh(preset)
    run(denoiser, optimizer, 0, 4, seed=6)
    assert models[0] == models[1] != flatten(denoiser).tobytes()


def test_resuming_in_the_middle_gives_the_same_bytes(tmp_path) -> None:  # type: ignore[no-untyped-def]
    whole, optimizer = fresh()
    run(whole, optimizer, 0, 10)

    first, optimizer = fresh()
    run(first, optimizer, 0, 5)
    state = {f"model.{name}": value for name, value in first.state_dict().items()}
    save(tmp_path / "half", state | {f"optimizer.{k}": v for k, v in optimizer_tensors(optimizer).items()}, {})

    tensors, _ = load(tmp_path / "half")
    second, optimizer = fresh()
    second.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
    load_optimizer_tensors(optimizer, {k[10:]: v for k, v in tensors.items() if k.startswith("optimizer.")})
    run(second, optimizer, 5, 5)
    assert flatten(second).tobytes() == flatten(whole).tobytes()


def test_training_lowers_the_loss_and_reports_every_step() -> None:
    denoiser, optimizer = fresh()
    reports: list[StepReport] = []
    config = TrainingConfig(batch_size=32, learning_rate=3e-3)
    generator = torch.Generator().manual_seed(0)
    report = train(
        denoiser,
        optimizer,
        NOISE,
        chains(),
        first_step=0,
        steps=60,
        total_steps=60,
        config=config,
        generator=generator,
        on_step=reports.append,
    )
    losses = [step.loss for step in reports]
    assert [step.step for step in reports] == list(range(60))
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])
    assert report.last_loss == losses[-1]
    assert report.mean_loss == pytest.approx(sum(losses) / 60)
    assert report.molecules == 60 * 32


@pytest.mark.parametrize("preset", ["small", "digress"])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gradients, losses = [], []
    for cost_of_a_pass in (0, 10**9):  # a part for every size, and one part
        monkeypatch.setitem(batches.PASS, "cpu", cost_of_a_pass)
        denoiser, optimizer = fresh(preset)
        denoiser.exact = True
        for stream in (module for module in denoiser.modules() if isinstance(module, Residual)):
            stream.dropout = 0.0
        losses.append(run(denoiser, optimizer, 0, 1).mean_loss)
        gradients.append(torch.cat([p.grad.flatten() for p in denoiser.parameters() if p.grad is not None]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert torch.allclose(gradients[0], gradients[1], rtol=1e-3, atol=1e-6)


def test_learning_rate_rises_and_falls() -> None:
    config = TrainingConfig(learning_rate=1.0, warmup_share=0.1)
    rates = [learning_rate(step, 100, config) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[9] == rates[10] == pytest.approx(1.0)
    assert all(later <= sooner for sooner, later in itertools.pairwise(rates[10:]))
    assert rates[100] == pytest.approx(0, abs=1e-12)


def test_divergence_is_said_and_leaves_the_last_sound_weights() -> None:
    denoiser, optimizer = fresh()
    with torch.no_grad():
        next(denoiser.parameters()).fill_(float("inf"))
    before = flatten(denoiser).tobytes()
    with pytest.raises(FedmolError) as refused:
        run(denoiser, optimizer, 3, 2)
    assert refused.value.exit is Exit.DIVERGED
    assert "step 3" in refused.value.message
    assert flatten(denoiser).tobytes() == before


def test_steps_in_flight_after_a_divergence_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sound, optimizer = fresh()
    run(sound, optimizer, 0, 3)

    monkeypatch.setitem(loop.STEPS_IN_FLIGHT, "cpu", 5)
    denoiser, optimizer = fresh()
    calls = itertools.count()

    def spoil(module: Denoiser, inputs: object, logits: Logits) -> Logits:
        return Logits(logits.atoms * torch.nan, logits.bonds) if next(calls) == 3 else logits

    denoiser.register_forward_hook(spoil)
    with pytest.raises(FedmolError) as refused:
        run(denoiser, optimizer, 0, 10)
    assert "step 3" in refused.value.message
    assert next(calls) == 5
    assert flatten(denoiser).tobytes() == flatten(sound).tobytes()


def test_a_report_covers_the_steps_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[list[StepReport]] = []
    for in_flight in (1, 4):
        monkeypatch.setitem(loop.STEPS_IN_FLIGHT, "cpu", in_flight)
        denoiser, optimizer = fresh()
        found.append([])
        run(denoiser, optimizer, 2, 8, on_step=found[-1].append)
    single, joined = found
    assert [report.step for report in joined] == [3, 7, 9]
    assert [report.molecules for report in joined] == [2 * 16, 4 * 16, 2 * 16]
    assert joined[1].loss == pytest.approx(sum(report.loss for report in single[2:6]) / 4)
