"""The network of DiGress (Vignac et al. 2023, QM9 without hydrogens) written plainly: the baseline of every ratio.

From the specification of the reference, layer by layer: float32, eager, every ordered pair of atoms, nothing fused,
every (B, N, N, 256) tensor that the formulas name is made. Parameters have the names of preset `digress`, so that
weights of one load into the other and both can be compared. Where the reference has a fault that costs or saves time,
it stays: the pooling takes in empty slots and the diagonal, unless `masked_pooling` asks for the preset's own.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, relu

from benchmarks.plain_features import GLOBAL_EXTRAS, NODE_EXTRAS, extra_features
from fedmol.diffusion import Logits

LAYERS, HEADS = 9, 8
NODE_WIDTH, PAIR_WIDTH, GLOBAL_WIDTH = 256, 64, 64
NODE_HIDDEN, PAIR_HIDDEN, GLOBAL_HIDDEN = 256, 128, 2048
DROPOUT = 0.1


class PlainDenoiser(nn.Module):
    """Callable as every denoiser: class indices in, logits of the clean graph out."""

    def __init__(
        self, atom_types: int, bond_types: int, max_atoms: int, layers: int = LAYERS, masked_pooling: bool = False
    ) -> None:
        super().__init__()
        self.atom_types, self.bond_types, self.max_atoms = atom_types, bond_types, max_atoms
        self.nodes_in = _mlp(atom_types + NODE_EXTRAS, NODE_HIDDEN, NODE_WIDTH)
        self.pairs_in = _mlp(bond_types, PAIR_HIDDEN, PAIR_WIDTH)
        self.whole_in = _mlp(GLOBAL_EXTRAS, PAIR_HIDDEN, GLOBAL_WIDTH)
        self.blocks = nn.ModuleList([Layer(masked_pooling) for _ in range(layers)])
        self.nodes_out = _mlp(NODE_WIDTH, NODE_HIDDEN, atom_types)
        self.pairs_out = _mlp(PAIR_WIDTH, PAIR_HIDDEN, bond_types)
        self.whole_out = nn.Linear(GLOBAL_WIDTH, PAIR_HIDDEN)  # leads to no output, as in the reference

    def forward(self, atoms: Tensor, bonds: Tensor, counts: Tensor, time: Tensor) -> Logits:
        """`atoms` (B, N) and `bonds` (B, N, N) are class indices, `counts` (B,), `time` (B,) = t / T."""
        slots = torch.arange(atoms.shape[1], device=atoms.device)
        mask = slots < counts[:, None]  # (B, N)
        real = (mask[:, :, None] & mask[:, None])[..., None]  # (B, N, N, 1), diagonal included
        other = (slots[:, None] != slots)[..., None]  # (N, N, 1)
        x0 = one_hot(atoms.long(), self.atom_types) * mask[..., None].float()
        e0 = one_hot(bonds.long(), self.bond_types) * real.float()
        node_extras, graph_extras = extra_features(x0, e0, mask, time, self.max_atoms)
        x = relu(self.nodes_in(torch.cat([x0, node_extras], -1))) * mask[..., None]
        e = relu(self.pairs_in(e0))
        e = (e + e.transpose(1, 2)) / 2 * real
        y = relu(self.whole_in(graph_extras))
        for block in self.blocks:
            x, e, y = block(x, e, y, mask)
        x = (self.nodes_out(x) + x0) * mask[..., None]
        e = (self.pairs_out(e) + e0) * other * real
        return Logits(x, (e + e.transpose(1, 2)) / 2)


class Layer(nn.Module):
    """Attention, then a residual with a feed-forward part for nodes, pairs and the graph."""

    def __init__(self, masked_pooling: bool) -> None:
        super().__init__()
        self.attention = Attention(masked_pooling)
        self.nodes = Residual(NODE_WIDTH, NODE_HIDDEN)
        self.pairs = Residual(PAIR_WIDTH, PAIR_HIDDEN)
        self.whole = Residual(GLOBAL_WIDTH, GLOBAL_HIDDEN)

    def forward(self, x: Tensor, e: Tensor, y: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        new_x, new_e, new_y = self.attention(x, e, y, mask)
        return self.nodes(x, new_x), self.pairs(e, new_e), self.whole(y, new_y)


class Attention(nn.Module):
    """Scores are products of query and key feature by feature, modulated by pairs and graph; they also make pairs."""

    def __init__(self, masked_pooling: bool) -> None:
        super().__init__()
        dx, de, dy = NODE_WIDTH, PAIR_WIDTH, GLOBAL_WIDTH
        self.masked_pooling = masked_pooling
        self.query, self.key, self.value = nn.Linear(dx, dx), nn.Linear(dx, dx), nn.Linear(dx, dx)
        self.pair_add, self.pair_multiply = nn.Linear(de, dx), nn.Linear(de, dx)
        self.global_pair_multiply, self.global_pair_add = nn.Linear(dy, dx), nn.Linear(dy, dx)
        self.global_node_multiply, self.global_node_add = nn.Linear(dy, dx), nn.Linear(dy, dx)
        self.global_global = nn.Linear(dy, dy)
        self.node_global, self.pair_global = nn.Linear(4 * dx, dy), nn.Linear(4 * de, dy)
        self.node_out, self.pair_out = nn.Linear(dx, dx), nn.Linear(dx, de)
        self.global_out = _mlp(dy, dy, dy)

    def forward(self, x: Tensor, e: Tensor, y: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        node = mask[..., None].float()  # (B, N, 1)
        pair = node[:, :, None] * node[:, None]  # (B, N, N, 1)
        q, k, v = self.query(x) * node, self.key(x) * node, self.value(x) * node
        scores = q[:, :, None] * k[:, None] / (NODE_WIDTH / HEADS) ** 0.5  # (B, N, N, dx)
        scores = scores * (self.pair_multiply(e) * pair + 1) + self.pair_add(e) * pair

        pairs = self.global_pair_add(y)[:, None, None] + (self.global_pair_multiply(y)[:, None, None] + 1) * scores
        pairs = self.pair_out(pairs) * pair

        hidden = scores.masked_fill(~mask[:, None, :, None], float("-inf"))
        seen = (torch.softmax(hidden, 2) * v[:, None]).sum(2)  # (B, N, dx)
        nodes = self.global_node_add(y)[:, None] + (self.global_node_multiply(y)[:, None] + 1) * seen
        nodes = self.node_out(nodes) * node

        whole = self.global_global(y) + self.node_global(self._pool(x, mask))
        whole = self.global_out(whole + self.pair_global(self._pool(e.flatten(1, 2), _pairs(mask))))
        return nodes, pairs, whole

    def _pool(self, rows: Tensor, mask: Tensor) -> Tensor:
        return pool_masked(rows, mask) if self.masked_pooling else pool(rows)


class Residual(nn.Module):
    """Add and normalise, then a feed-forward part, add and normalise."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.grow, self.shrink = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm_in, self.norm_out = nn.LayerNorm(width), nn.LayerNorm(width)
        self.drop = nn.Dropout(DROPOUT)

    def forward(self, stream: Tensor, update: Tensor) -> Tensor:
        stream = self.norm_in(stream + self.drop(update))
        update = self.drop(self.shrink(self.drop(relu(self.grow(stream)))))
        normed: Tensor = self.norm_out(stream + update)
        return normed


def pool(rows: Tensor) -> Tensor:
    """Mean, minimum, maximum and standard deviation of `rows` (B, M, d), empty ones included: (B, 4 d)."""
    return torch.cat([rows.mean(1), rows.amin(1), rows.amax(1), rows.std(1)], -1)


def pool_masked(rows: Tensor, mask: Tensor) -> Tensor:
    """The same of the rows in `mask` (B, M) only, graph by graph; a single row deviates by 1e-6, none gives zeros."""
    pooled = []
    for graph, real in zip(rows, mask, strict=True):
        own = graph[real] if real.any() else torch.zeros_like(graph[:1])
        deviation = (own.var(0, correction=min(1, len(own) - 1)) + 1e-12).sqrt() * real.any()
        pooled.append(torch.cat([own.mean(0), own.amin(0), own.amax(0), deviation]))
    return torch.stack(pooled)


def _pairs(mask: Tensor) -> Tensor:
    """Ordered pairs of different atoms, (B, N * N)."""
    other = ~torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
    return (mask[:, :, None] & mask[:, None] & other).flatten(1)


def _mlp(size: int, hidden: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, width))
