"""What training tells a denoiser of its molecules' properties, and that nothing is drawn where there are none."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Generator

from fedmol.diffusion import Census, Conditions, NoiseModel
from fedmol.graphs import Graphs
from fedmol.models import Denoiser, build
from fedmol.ragged import AnyGraphs, ragged
from fedmol.training import Trainer, TrainingConfig, build_optimizer, flatten, train
from fedmol.training.batches import Batch, DeviceBatches, HostBatches
from fedmol.training.ranks import ALONE, Ranks
from tests.support.random_graphs import same, symmetric

GRAPHS = symmetric([3, 4, 9, 9, 6, 8, 7, 9] * 3, columns=2, node_types=4)
TABLE = GRAPHS.properties
PLAIN = replace(GRAPHS, properties=None)
NOISE = NoiseModel.from_census(Census.take(GRAPHS, 4, 6, 9))
KINDS = [HostBatches, DeviceBatches]
CONFIG = TrainingConfig(batch_size=8, condition_dropout=0.4)

Kind = type[HostBatches] | type[DeviceBatches]


def drawn(kind: Kind, graphs: Graphs, dropout: float, ranks: Ranks = ALONE) -> Batch:
    batches = kind(graphs, NOISE, 16, ranks, dropout)
    batches.seed(5)
    return batches.draw()


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_molecules_and_noise_with_and_without_properties(kind: Kind) -> None:
    with_them, without = drawn(kind, GRAPHS, 0.4), drawn(kind, PLAIN, 0.4)
    assert all(part.conditions is None for part in without.parts)
    assert len(with_them.parts) == len(without.parts)
    for one, other in zip(with_them.parts, without.parts, strict=True):
        assert same(one.noisy, other.noisy)
        assert same(replace(one.clean, properties=None), other.clean)
        assert torch.equal(one.times, other.times)


@pytest.mark.parametrize("kind", KINDS)
def test_a_denoiser_is_told_what_is_known_of_its_own_molecules(kind: Kind) -> None:
    for part in drawn(kind, GRAPHS, 0.0).parts:
        assert part.clean.properties is not None
        assert part.conditions is not None
        expected = Conditions.of(part.clean.properties)
        assert torch.equal(part.conditions.values, expected.values)
        assert torch.equal(part.conditions.known, expected.known)


@pytest.mark.parametrize("kind", KINDS)
def test_all_ranks_together_drop_what_one_would(kind: Kind) -> None:
    def told(batch: Batch) -> list[list[float]]:
        parts = [part.conditions for part in batch.parts]
        return sorted(row.tolist() for one in parts if one is not None for row in torch.cat([one.values, one.known], 1))

    whole = told(drawn(kind, GRAPHS, 0.4))
    shares = [told(drawn(kind, GRAPHS, 0.4, Ranks(rank, 3))) for rank in range(3)]
    assert sorted(row for share in shares for row in share) == whole
    assert whole != told(drawn(kind, GRAPHS, 0.0))


def trained(graphs: AnyGraphs, properties: int = 2, steps: int = 6, config: TrainingConfig = CONFIG) -> Denoiser:
    denoiser = build("small", 4, 6, 9, seed=0, layers=1, properties=properties)
    optimizer, numbers = build_optimizer(denoiser, config), Generator().manual_seed(3)
    train(
        denoiser, optimizer, NOISE, graphs, first_step=0, steps=steps, total_steps=20, config=config, generator=numbers
    )
    return denoiser


def test_what_nobody_measured_is_a_null_token_like_what_is_dropped() -> None:
    nowhere = replace(GRAPHS, properties=torch.full((len(GRAPHS), 2), math.nan))
    never = flatten(trained(nowhere)).tobytes()
    assert never == flatten(trained(PLAIN)).tobytes()
    assert never == flatten(trained(GRAPHS, config=replace(CONFIG, condition_dropout=1.0))).tobytes()
    told = flatten(trained(GRAPHS)).tobytes()
    assert told == flatten(trained(ragged(GRAPHS))).tobytes() != never


def test_properties_reach_a_trainer_s_denoiser() -> None:
    denoiser = build("small", 4, 6, 9, seed=0, layers=1, properties=2)
    with Trainer(denoiser, NOISE, ragged(GRAPHS), CONFIG) as trainer:
        trainer.train(
            build_optimizer(denoiser, CONFIG),
            first_step=0,
            steps=6,
            total_steps=20,
            generator=Generator().manual_seed(3),
        )
    assert flatten(denoiser).tobytes() == flatten(trained(GRAPHS)).tobytes()


def test_a_denoiser_that_cannot_be_told_is_not_trained_on_properties() -> None:
    with pytest.raises(ValueError, match="a model of 0 properties"):
        trained(GRAPHS, properties=0)


def test_a_property_that_says_what_the_molecule_is_lowers_the_loss() -> None:
    """Chains of one element, which a pure-noise graph does not tell and the property does."""
    counts = torch.full((3,), 4)
    bonds = torch.zeros(3, 4, 4, dtype=torch.int8)
    for i in range(3):
        bonds[:, i, i + 1] = bonds[:, i + 1, i] = 1
    atoms = torch.arange(3, dtype=torch.int16)[:, None].expand(3, 4).contiguous()
    chains = Graphs(atoms, bonds, counts, torch.tensor([[-1.0], [0.0], [1.0]]))
    noise = NoiseModel.from_census(Census.take(chains, 3, 2, 4))
    denoiser = build("small", 3, 2, 4, seed=0, layers=1, properties=1)
    config = TrainingConfig(batch_size=48, learning_rate=5e-3, condition_dropout=0.2)
    train(
        denoiser,
        build_optimizer(denoiser, config),
        noise,
        chains,
        first_step=0,
        steps=120,
        total_steps=120,
        config=config,
        generator=Generator().manual_seed(0),
    )
    denoiser.eval()
    blank = Graphs(torch.tensor([[0, 1, 2, 0]]).expand(3, 4), torch.zeros(3, 4, 4, dtype=torch.int64), counts)
    asked = blank.atoms, blank.bonds, blank.counts, torch.ones(3)
    assert chains.properties is not None
    with torch.no_grad():
        told = denoiser(*asked, Conditions.of(chains.properties)).atoms.softmax(-1)
        blind = denoiser(*asked).atoms.softmax(-1)
    right = told.gather(-1, chains.atoms.long()[..., None])
    assert right.min() > 0.8
    assert blind.max() < 0.7
