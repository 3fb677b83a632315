"""Our fast denoiser: nodes and unordered pairs, two matrix products per stream and layer.

Nothing has the shape (B, N, N, node width). Per layer, one projection of the nodes gives queries, keys, values, the
hidden part of the node's feed-forward and its share of the messages along pairs; one projection of the pairs gives
the attention's bias and gate, the sides of triangles and the pair's share of the messages. A pair (i, j) becomes
`relu(pair + node i + node j + triangles)`, which updates the pair and, summed over j, the node. The triangles of a
pair are the sum over every third atom k of side (i, k) times side (k, j), channel by channel: rings are made of them
(the triangle multiplicative update of Jumper et al. 2021, with one factor instead of two). Time and size of the graph
act by FiLM on the nodes and reach the pairs through them; in a denoiser that is told properties, they and the
properties act on the pairs, too. Only LayerNorm, no statistics over a batch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, silu

from fedmol.models.inputs import Features, NoisyGraphs, walk_powers
from fedmol.models.pair_layout import UnorderedPairs, unordered_pairs
from fedmol.models.presets import DenoiserConfig

TIME_WAVES = 16
HIDDEN = -30000.0  # added to the scores of empty slots


def pair_features(graphs: NoisyGraphs, walk_length: int) -> Features:
    """Random-walk powers for nodes (return) and pairs; bonds per class at each node; time, size and composition."""
    layout = unordered_pairs(graphs.atoms.shape[1], graphs.atoms.device)
    walks = walk_powers(graphs.adjacency, walk_length)
    valence = graphs.bonds[..., 1:].sum(2)  # (B, N, b - 1): how many bonds of each class
    pairs = torch.cat([graphs.bonds, walks], dim=-1)
    size = graphs.counts[:, None].float()
    waves = torch.arange(TIME_WAVES, device=size.device)
    whole = [
        torch.cos(torch.pi * graphs.time[:, None] * waves),
        size / 10,
        graphs.atoms.sum(1) / size,
        valence.sum(1) / size,
    ]
    nodes = torch.cat([graphs.atoms, walks.diagonal(dim1=1, dim2=2).transpose(1, 2), valence], dim=-1)
    return Features(nodes, layout.pack(pairs), torch.cat(whole, dim=-1))


def pair_feature_sizes(atom_types: int, bond_types: int, walk_length: int) -> tuple[int, int, int]:
    """Last dimensions of the three parts of `pair_features`."""
    valences = bond_types - 1
    return (
        atom_types + walk_length + valences,
        bond_types + walk_length,
        TIME_WAVES + 1 + atom_types + valences,
    )


class PairMasks:
    """Index maps and masks that all layers of one call share."""

    def __init__(self, graphs: NoisyGraphs, dtype: torch.dtype) -> None:
        self.layout: UnorderedPairs = unordered_pairs(graphs.atoms.shape[1], graphs.atoms.device)
        mask = graphs.atom_mask
        self.keys = torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, HIDDEN)[:, None, None]
        incidence = self.layout.incidence.to(dtype)
        self.ends = incidence  # (P, N)
        both = (mask[:, self.layout.first] & mask[:, self.layout.second]).to(dtype)  # (B, P)
        self.real = both[:, :, None]  # (B, P, 1)
        counts = graphs.counts[:, None, None, None].to(dtype)
        self.share = counts.rsqrt().to(dtype)  # of one path; their sum keeps its size
        self.sums = incidence.t() * both[:, None, :]  # (B, N, P)


class PairBlock(nn.Module):
    """One layer of the fast denoiser, `conditional` if it is told properties."""

    def __init__(self, config: DenoiserConfig, conditional: bool = False) -> None:
        super().__init__()
        dx, de, heads = config.node_width, config.pair_width, config.heads
        self.heads = heads
        self.node_parts = [3 * dx, config.node_hidden, config.pair_hidden]
        self.square_parts = [heads, heads, config.triangle_width]
        self.pair_parts = [sum(self.square_parts), config.pair_hidden]
        self.film = nn.Linear(config.global_width, 2 * dx)
        self.pair_norm = nn.LayerNorm(de)
        self.node_in = nn.Linear(dx, sum(self.node_parts))
        self.node_out = nn.Linear(dx + config.node_hidden + config.pair_hidden, dx)
        self.pair_in = nn.Linear(de, sum(self.pair_parts))
        self.triangles_in = nn.Linear(config.triangle_width, config.pair_hidden, bias=False)
        self.pair_out = nn.Linear(config.pair_hidden, de)
        self.pair_film = nn.Linear(config.global_width, 2 * de) if conditional else None
        with torch.no_grad():
            self.film.weight.mul_(0.1)
            if self.pair_film is not None:
                self.pair_film.weight.mul_(0.1)
            for out in (self.node_out, self.pair_out):
                out.weight.mul_(config.layers**-0.5)

    def forward(self, x: Tensor, e: Tensor, y: Tensor, masks: PairMasks) -> tuple[Tensor, Tensor, Tensor]:
        scale, shift = self.film(y)[:, None].chunk(2, -1)  # (B, 1, dx)
        normed = torch.addcmul(shift, nn.functional.layer_norm(x, x.shape[-1:]), 1 + scale)
        qkv, hidden, end = self.node_in(normed).split(self.node_parts, -1)
        rows, inner = self.pair_in(self._normed_pairs(e, y)).split(self.pair_parts, -1)
        square = masks.layout.unpack(rows * masks.real).permute(0, 3, 1, 2)  # (B, 2 H + t, N, N)
        bias, gate, sides = torch.split(square, self.square_parts, dim=1)
        message = relu(inner + masks.ends @ end + self._triangles(sides, masks))  # (B, P, pair_hidden)
        received = masks.sums @ message  # (B, N, pair_hidden)
        seen = self._attend(qkv, bias, gate, masks)
        x = x + self.node_out(torch.cat([seen, silu(hidden), received], -1))
        return x, e + self.pair_out(message), y

    def _normed_pairs(self, e: Tensor, y: Tensor) -> Tensor:
        normed: Tensor = self.pair_norm(e)
        if self.pair_film is None:
            return normed
        scale, shift = self.pair_film(y)[:, None].chunk(2, -1)  # (B, 1, de)
        return torch.addcmul(shift, normed, 1 + scale)

    def _triangles(self, sides: Tensor, masks: PairMasks) -> Tensor:
        """What each pair hears from the two other sides of the triangles it is part of."""
        paths = ((sides * masks.share) @ sides).permute(0, 2, 3, 1)  # (B, N, N, t), as symmetric as `sides`
        heard: Tensor = self.triangles_in(masks.layout.pack(paths))
        return heard  # (B, P, pair_hidden)

    def _attend(self, qkv: Tensor, bias: Tensor, gate: Tensor, masks: PairMasks) -> Tensor:
        """Attention whose scores are shifted by `bias` and whose weights are gated by `gate`, each (B, H, N, N)."""
        batch, n, _ = qkv.shape
        q, k, v = qkv.reshape(batch, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # each (B, H, N, d)
        scores = (q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5 + bias + masks.keys
        attention = torch.softmax(scores, -1) * torch.sigmoid(gate)
        seen: Tensor = attention @ v  # (B, H, N, d)
        return seen.transpose(1, 2).reshape(batch, n, -1)  # (B, N, dx)
