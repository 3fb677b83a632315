"""The layers and features of DiGress, as its code has them (src/models/transformer_model.py, extra_features*.py).

Known faults are handled so that shapes and the number of parameters stay the same. Repaired: the 5-cycle count, the
pooling of nodes and pairs into the global stream (the reference lets padding and the diagonal take part, which makes
a prediction depend on its batch), the flag of the largest component and the signs of eigenvectors (see `spectrum`),
and the weight (the reference counts empty slots as carbon). Kept: attention that multiplies queries and keys
elementwise; "charge" and "valency" made of class indices; the global stream of the last layer, which no output uses.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, relu

from fedmol.models.cycles import cycle_counts
from fedmol.models.elementwise import attend
from fedmol.models.inputs import Features, NoisyGraphs
from fedmol.models.layers import kept, pooled
from fedmol.models.presets import DenoiserConfig
from fedmol.models.spectrum import spectral_features

NODE_EXTRAS, PAIR_EXTRAS, GLOBAL_EXTRAS = 8, 0, 13
QM9_WEIGHTS = (12.0, 14.0, 16.0, 19.0)  # C N O F
HEAVIEST = 150.0
OTHER_WEIGHT = 14.0  # for vocabularies whose elements the denoiser is not told


def reference_features(graphs: NoisyGraphs, max_atoms: int) -> Features:
    """The inputs of the reference with `extra_features: all`."""
    adjacency = graphs.adjacency
    node_cycles, graph_cycles = cycle_counts(adjacency)
    node_spectrum, graph_spectrum = spectral_features(adjacency, graphs.atom_mask)
    valency = graphs.bonds.argmax(-1).sum(2, keepdim=True).squeeze(-1)  # (B, N)
    charge = graphs.atoms.argmax(-1) - valency
    nodes = [
        graphs.atoms,
        (node_cycles / 10).clamp(max=1),
        node_spectrum,
        charge[..., None],
        valency[..., None],
    ]
    whole = [
        graphs.counts[:, None] / max_atoms,
        (graph_cycles / 10).clamp(max=1),
        graph_spectrum,
        _weight(graphs.atoms)[:, None],
        graphs.time[:, None],
    ]
    mask = graphs.atom_mask[..., None]
    return Features(torch.cat(nodes, -1).float() * mask, graphs.bonds, torch.cat(whole, -1).float())


def _weight(atoms: Tensor) -> Tensor:
    types = atoms.shape[-1]
    weights = QM9_WEIGHTS if types == len(QM9_WEIGHTS) else (OTHER_WEIGHT,) * types
    return (atoms.sum(1) @ _on_device(weights, atoms.device)) / HEAVIEST  # (B,)


@cache
def _on_device(numbers: tuple[float, ...], device: torch.device) -> Tensor:
    """Copied once: a copy in every call would wait for the device each time."""
    with torch.inference_mode(False):
        return torch.tensor(numbers, device=device)


class ReferenceMasks:
    """Masks that all layers of one call share."""

    def __init__(self, graphs: NoisyGraphs, dtype: torch.dtype) -> None:
        real = graphs.atom_mask
        other = ~torch.eye(real.shape[1], dtype=torch.bool, device=real.device)
        self.keys = torch.zeros(real.shape, dtype=dtype, device=real.device).masked_fill_(~real, float("-inf"))
        self.keys = self.keys[:, None, :, None]  # (B, 1, N, 1)
        self.pooled_nodes = real  # (B, N)
        self.pooled_pairs = (real[:, :, None] & real[:, None] & other).flatten(1)  # (B, N * N)


class NodeEdgeAttention(nn.Module):
    """Elementwise attention over nodes that also rewrites pairs and the global features."""

    def __init__(self, dx: int, de: int, dy: int, heads: int) -> None:
        super().__init__()
        self.scale = (dx // heads) ** -0.5
        self.query, self.key, self.value = nn.Linear(dx, dx), nn.Linear(dx, dx), nn.Linear(dx, dx)
        self.pair_add, self.pair_multiply = nn.Linear(de, dx), nn.Linear(de, dx)
        self.global_pair_multiply, self.global_pair_add = nn.Linear(dy, dx), nn.Linear(dy, dx)
        self.global_node_multiply, self.global_node_add = nn.Linear(dy, dx), nn.Linear(dy, dx)
        self.global_global = nn.Linear(dy, dy)
        self.node_global, self.pair_global = nn.Linear(4 * dx, dy), nn.Linear(4 * de, dy)
        self.node_out, self.pair_out = nn.Linear(dx, dx), nn.Linear(dx, de)
        self.global_out = nn.Sequential(nn.Linear(dy, dy), nn.ReLU(), nn.Linear(dy, dy))

    def forward(self, x: Tensor, e: Tensor, y: Tensor, masks: ReferenceMasks) -> tuple[Tensor, Tensor, Tensor]:
        shift, stretch = self.global_pair_add(y), self.global_pair_multiply(y) + 1
        shift = shift + stretch * self.pair_add.bias  # it would not change the softmax over j
        seen, pairs = attend(
            self.query(x) * self.scale,
            self.key(x),
            self.value(x),
            linear(e, self.pair_multiply.weight, self.pair_multiply.bias + 1),
            linear(e, self.pair_add.weight),
            stretch[:, None] * self.pair_out.weight.to(stretch.dtype),
            masks.keys,
        )
        pairs = pairs + self.pair_out(shift)[:, None, None]
        shift, stretch = self.global_node_add(y), self.global_node_multiply(y) + 1
        nodes = self.node_out(torch.addcmul(shift[:, None], stretch[:, None], seen))
        gathered = self.node_global(pooled(x, masks.pooled_nodes))
        gathered = gathered + self.pair_global(pooled(e.flatten(1, 2), masks.pooled_pairs))
        whole: Tensor = self.global_out(self.global_global(y) + gathered)
        return nodes, pairs, whole


class Residual(nn.Module):
    """LayerNorm after a residual, then the same around a feed-forward part, for one of the three streams."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.grow, self.shrink = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm_in, self.norm_out = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = dropout

    def forward(self, stream: Tensor, update: Tensor) -> Tensor:
        stream = self.norm_in(self._add(stream, update))
        hidden = self.grow(stream)
        if self._drops:
            hidden = hidden.mul_(kept(hidden, self.dropout))  # before the rectifier: gradients need one tensor less
        normed: Tensor = self.norm_out(self._add(stream, self.shrink(relu(hidden, inplace=True))))
        return normed

    def _add(self, stream: Tensor, update: Tensor) -> Tensor:
        return torch.addcmul(stream, update, kept(update, self.dropout)) if self._drops else stream + update

    @property
    def _drops(self) -> bool:
        return self.training and self.dropout > 0


class ReferenceBlock(nn.Module):
    """One layer of the reference's graph transformer."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        dx, de, dy = config.node_width, config.pair_width, config.global_width
        self.attention = NodeEdgeAttention(dx, de, dy, config.heads)
        self.nodes = Residual(dx, config.node_hidden, config.dropout)
        self.pairs = Residual(de, config.pair_hidden, config.dropout)
        self.whole = Residual(dy, config.global_hidden, config.dropout)

    def forward(self, x: Tensor, e: Tensor, y: Tensor, masks: ReferenceMasks) -> tuple[Tensor, Tensor, Tensor]:
        nodes, pairs, whole = self.attention(x, e, y, masks)
        return self.nodes(x, nodes), self.pairs(e, pairs), self.whole(y, whole)
