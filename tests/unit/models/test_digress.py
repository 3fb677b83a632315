"""The reference's layer against its formulas, one atom and one pair of atoms at a time, in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from fedmol.models import build
from fedmol.models.digress import ReferenceBlock, ReferenceMasks, Residual
from fedmol.models.elementwise import attend
from fedmol.models.inputs import NoisyGraphs
from fedmol.models.layers import kept, pooled
from fedmol.models.presets import DenoiserConfig

COUNTS = [5, 3, 1]
DX, DE, DY, HEADS = 8, 6, 4, 2


@pytest.fixture
def block() -> ReferenceBlock:
    config = DenoiserConfig("reference", 1, DX, DE, DY, HEADS, node_hidden=10, pair_hidden=7, global_hidden=9)
    torch.manual_seed(0)
    return ReferenceBlock(config).double()


def streams() -> tuple[Tensor, Tensor, Tensor, ReferenceMasks]:
    """Features of padded graphs; what stands in empty slots is large, so that it is noticed where it takes part."""
    torch.manual_seed(1)
    batch, n = len(COUNTS), max(COUNTS)
    counts = torch.tensor(COUNTS)
    graphs = NoisyGraphs.of(
        torch.zeros(batch, n), torch.zeros(batch, n, n), counts, torch.zeros(batch), atom_types=4, bond_types=5
    )
    real = graphs.atom_mask.double()
    x, e = torch.randn(batch, n, DX).double(), torch.randn(batch, n, n, DE).double()
    x = x + 100 * (1 - real)[..., None]
    e = e + 100 * (1 - real[:, :, None] * real[:, None])[..., None]
    return x, e, torch.randn(batch, DY).double(), ReferenceMasks(graphs, torch.float64)


def affine(layer: nn.Module, row: Tensor) -> Tensor:
    assert isinstance(layer, nn.Linear)
    return layer.weight @ row + layer.bias


def norm(layer: nn.LayerNorm, row: Tensor) -> Tensor:
    centred = row - row.mean()
    return centred / (centred.square().mean() + layer.eps).sqrt() * layer.weight + layer.bias


def residual(part: Residual, row: Tensor, update: Tensor) -> Tensor:
    row = norm(part.norm_in, row + update)
    return norm(part.norm_out, row + affine(part.shrink, affine(part.grow, row).clamp(min=0)))


def statistics(rows: list[Tensor]) -> Tensor:
    if not rows:
        return torch.zeros(4 * DE, dtype=torch.float64)
    columns = torch.stack(rows)
    mean = columns.mean(0)
    variance = (columns - mean).square().sum(0) / max(len(rows) - 1, 1)
    return torch.cat([mean, columns.min(0).values, columns.max(0).values, (variance + 1e-12).sqrt()])


def by_hand(block: ReferenceBlock, x: Tensor, e: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x_i, e_ij and y of one graph after the layer."""
    part, n = block.attention, len(x)
    scores = torch.zeros(n, n, DX, dtype=torch.float64)
    new_x, new_e = torch.zeros_like(x), torch.zeros_like(e)
    for i in range(n):
        for j in range(n):
            product = affine(part.query, x[i]) * affine(part.key, x[j]) / math.sqrt(DX / HEADS)
            scores[i, j] = product * (affine(part.pair_multiply, e[i, j]) + 1) + affine(part.pair_add, e[i, j])
            moved = affine(part.global_pair_add, y) + (affine(part.global_pair_multiply, y) + 1) * scores[i, j]
            new_e[i, j] = residual(block.pairs, e[i, j], affine(part.pair_out, moved))
    for i in range(n):
        total = sum(scores[i, j].exp() for j in range(n))
        seen = sum(scores[i, j].exp() / total * affine(part.value, x[j]) for j in range(n))
        moved = affine(part.global_node_add, y) + (affine(part.global_node_multiply, y) + 1) * seen
        new_x[i] = residual(block.nodes, x[i], affine(part.node_out, moved))
    pairs = [e[i, j] for i in range(n) for j in range(n) if i != j]
    gathered = affine(part.global_global, y) + affine(part.node_global, statistics(list(x)))
    gathered = gathered + affine(part.pair_global, statistics(pairs))
    first, _, second = part.global_out
    return new_x, new_e, residual(block.whole, y, affine(second, affine(first, gathered).clamp(min=0)))


def test_layer_against_its_formulas(block: ReferenceBlock) -> None:
    x, e, y, masks = streams()
    nodes, pairs, whole = block(x, e, y, masks)
    for index, n in enumerate(COUNTS):
        expected = by_hand(block, x[index, :n], e[index, :n, :n], y[index])
        found = nodes[index, :n], pairs[index, :n, :n], whole[index]
        torch.testing.assert_close(found, expected)


def test_gradient_of_the_attention() -> None:
    torch.manual_seed(2)
    batch, n, dx, de = 2, 3, 4, 2
    shapes = [(batch, n, dx)] * 3 + [(batch, n, n, dx)] * 2 + [(batch, de, dx)]
    tensors = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    hidden = torch.zeros(batch, 1, n, 1, dtype=torch.float64)
    hidden[1, :, 2] = -math.inf
    assert torch.autograd.gradcheck(attend, (*tensors, hidden))


def test_gradient_of_the_pooling() -> None:
    rows = torch.randn(4, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3)).requires_grad_()
    mask = torch.arange(5) < torch.tensor([5, 3, 1, 0])[:, None]
    mask[0, 1] = False
    assert torch.autograd.gradcheck(lambda rows: pooled(rows, mask), rows)


def test_equal_extremes_share_their_gradient() -> None:
    rows = torch.tensor([1.0, 3.0, 1.0, 3.0, 2.0])[None, :, None].requires_grad_()
    _, low, high, _ = pooled(rows, torch.arange(5)[None] < 4)[0]
    (low + 10 * high).backward()
    assert rows.grad is not None
    assert rows.grad.flatten().tolist() == [0.5, 5.0, 0.5, 5.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_drops_its_share_keeps_the_mean_and_obeys_the_seed(dtype: torch.dtype) -> None:
    like = torch.empty(200, 333, dtype=dtype)
    torch.manual_seed(5)
    first, second = kept(like, 0.1), kept(like, 0.1)
    torch.manual_seed(5)
    assert torch.equal(first, kept(like, 0.1))
    assert not torch.equal(first, second)
    assert first.dtype == dtype
    dropped = first == 0
    assert dropped.float().mean().item() == pytest.approx(0.1, abs=5e-3)
    assert dropped.float().mean(0).std().item() == pytest.approx((0.09 / 200) ** 0.5, rel=0.2)
    assert (first[~dropped].float() * 0.9 - 1).abs().max() < (1e-4 if dtype == torch.float32 else 4e-3)


def test_dropout_acts_in_training_only() -> None:
    part = Residual(6, 5, dropout=0.5)
    stream, update = torch.randn(2, 40, 6)
    part.eval()
    assert torch.equal(part(stream, update), part(stream, update))
    part.train()
    assert not torch.equal(part(stream, update), part(stream, update))


def test_the_noisy_graph_is_a_residual_of_the_logits() -> None:
    denoiser = build("digress", atom_types=4, bond_types=5, max_atoms=9, seed=0, layers=1).eval()
    for out in (denoiser.nodes_out[-1], denoiser.pairs_out[-1]):
        for parameter in out.parameters():
            nn.init.zeros_(parameter)
    atoms = torch.tensor([[2, 0, 3]])
    bonds = torch.tensor([[[0, 3, 0], [3, 0, 1], [0, 1, 0]]])
    logits = denoiser(atoms, bonds, torch.tensor([3]), torch.tensor([0.5]))
    assert torch.equal(logits.atoms, nn.functional.one_hot(atoms, 4).float())
    other = ~torch.eye(3, dtype=torch.bool)[..., None]
    assert torch.equal(logits.bonds, nn.functional.one_hot(bonds, 5).float() * other)
