"""One skeleton for every denoiser: input MLPs, blocks, output MLPs with the noisy graph as a residual."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from fedmol.diffusion.conditions import Conditions
from fedmol.diffusion.denoising import Logits
from fedmol.errors import Exit, FedmolError
from fedmol.models.condition_embedding import ConditionEmbedding
from fedmol.models.digress import (
    GLOBAL_EXTRAS,
    NODE_EXTRAS,
    PAIR_EXTRAS,
    ReferenceBlock,
    ReferenceMasks,
    reference_features,
)
from fedmol.models.inputs import Features, NoisyGraphs
from fedmol.models.pair_layout import Layout, OrderedPairs, unordered_pairs
from fedmol.models.pair_transformer import PairBlock, PairMasks, pair_feature_sizes, pair_features
from fedmol.models.presets import DenoiserConfig, preset


def bfloat16_pays(device: torch.device) -> bool:
    """True where matrix products in bfloat16 are done by the hardware, several times faster than in float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


class Denoiser(nn.Module):
    """Predicts the clean graph from a noisy one; permutation equivariant, and blind to padding.

    One that is built for `properties` is told their values, or that they are unknown, beside time and size: blocks
    scale and shift the features of nodes and of pairs by all of these (FiLM, Perez et al. 2018).
    Computes in bfloat16 where `bfloat16_pays`, unless `exact` is set; parameters and logits are float32 in any case.
    The state consists of float parameters only.
    """

    def __init__(
        self, config: DenoiserConfig, atom_types: int, bond_types: int, max_atoms: int, properties: int = 0
    ) -> None:
        super().__init__()
        self.config, self.atom_types, self.bond_types, self.max_atoms = config, atom_types, bond_types, max_atoms
        self.properties = properties
        self.exact = False
        reference = config.kind == "reference"
        if reference:
            sizes = atom_types + NODE_EXTRAS, bond_types + PAIR_EXTRAS, GLOBAL_EXTRAS
        else:
            sizes = pair_feature_sizes(atom_types, bond_types, config.walk_length)
        dx, de, dy = config.node_width, config.pair_width, config.global_width
        self.nodes_in = _mlp_in(sizes[0], config.node_hidden, dx)
        self.pairs_in = _mlp_in(sizes[1], config.pair_hidden, de)
        self.whole_in = _mlp_in(sizes[2], config.pair_hidden, dy)
        self.blocks = nn.ModuleList(
            [ReferenceBlock(config) if reference else PairBlock(config, properties > 0) for _ in range(config.layers)]
        )
        self.nodes_out = _mlp_out(dx, config.node_hidden, atom_types, normed=not reference)
        self.pairs_out = _mlp_out(de, config.pair_hidden, bond_types, normed=not reference)
        if reference:  # half of its MLP for outputs of the whole graph, of which there are none: trained by nothing
            self.whole_out = nn.Linear(dy, config.pair_hidden)
        if properties:
            self.conditions_in = ConditionEmbedding(properties, config.pair_hidden, dy)

    def forward(
        self, atoms: Tensor, bonds: Tensor, counts: Tensor, time: Tensor, conditions: Conditions | None = None
    ) -> Logits:
        """`atoms` (B, N) and `bonds` (B, N, N) are class indices, `counts` (B,), `time` (B,) = t / T in [0, 1].

        Raises:
            ValueError: the conditions are not on as many properties as it was built for.
        """
        if conditions is not None and conditions.known.shape != (len(counts), self.properties):
            shape = tuple(conditions.known.shape)
            raise ValueError(
                f"conditions {shape} for {len(counts)} graphs, and a model of {self.properties} properties"
            )
        graphs = NoisyGraphs.of(atoms, bonds, counts, time, self.atom_types, self.bond_types)
        features, layout = self._features(graphs)
        low = not self.exact and bfloat16_pays(atoms.device)
        with torch.autocast(atoms.device.type, torch.bfloat16, enabled=low):
            x, e, y = self.nodes_in(features.nodes), self.pairs_in(features.pairs), self.whole_in(features.whole)
            if self.properties:
                unknown = Conditions.unknown(len(counts), self.properties, counts.device)
                y = y + self.conditions_in(unknown if conditions is None else conditions)
            masks = self._masks(graphs, x.dtype)
            for block in self.blocks:
                x, e, y = block(x, e, y, masks)
            x, e = self.nodes_out(x), self.pairs_out(e)
        x = x.float() + graphs.atoms
        e = e.float() + features.pairs[..., : self.bond_types]
        real = graphs.atom_mask
        return Logits(x * real[..., None], layout.unpack(e) * (real[:, :, None] & real[:, None])[..., None])

    def _features(self, graphs: NoisyGraphs) -> tuple[Features, Layout]:
        if self.config.kind == "reference":
            return reference_features(graphs, self.max_atoms), OrderedPairs()
        width = graphs.atoms.shape[1]
        return pair_features(graphs, self.config.walk_length), unordered_pairs(width, graphs.atoms.device)

    def _masks(self, graphs: NoisyGraphs, dtype: torch.dtype) -> ReferenceMasks | PairMasks:
        return ReferenceMasks(graphs, dtype) if self.config.kind == "reference" else PairMasks(graphs, dtype)


def _mlp_in(size: int, hidden: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, width), nn.ReLU())


def _mlp_out(width: int, hidden: int, classes: int, normed: bool) -> nn.Sequential:
    norm = [nn.LayerNorm(width)] if normed else []
    return nn.Sequential(*norm, nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, classes))


def build(
    name: str,
    atom_types: int,
    bond_types: int,
    max_atoms: int,
    seed: int,
    layers: int | None = None,
    properties: int = 0,
) -> Denoiser:
    """A fresh denoiser of the preset `name`, with `layers` layers instead of the preset's where given.

    It can be told so many `properties`. Equal arguments give equal weights, byte for byte.

    Raises:
        FedmolError: BAD_SETTINGS for an unknown preset or fewer than one layer.
    """
    config = preset(name)
    if layers is not None:
        if layers < 1:
            raise FedmolError(
                Exit.BAD_SETTINGS, f"a model needs at least one layer, not {layers}", "set model.layers to 1 or more"
            )
        config = replace(config, layers=layers)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Denoiser(config, atom_types, bond_types, max_atoms, properties)
