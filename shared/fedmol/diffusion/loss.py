"""The training loss of DiGress."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy

from fedmol.diffusion.denoising import Logits
from fedmol.graphs import Graphs

BOND_WEIGHT = 5.0


def loss(logits: Logits, clean: Graphs, bond_weight: float = BOND_WEIGHT) -> Tensor:
    """Mean cross-entropy over real atoms + `bond_weight` x mean cross-entropy over real ordered pairs, in nats.

    Vignac et al. 2023, equation 2. No weighting by time.
    """
    return _mean_cross_entropy(logits.atoms, clean.atoms, clean.atom_mask) + bond_weight * _mean_cross_entropy(
        logits.bonds, clean.bonds, clean.pair_mask
    )


def _mean_cross_entropy(logits: Tensor, classes: Tensor, mask: Tensor) -> Tensor:
    each = cross_entropy(logits.flatten(0, -2), classes.long().flatten(), reduction="none")
    weight = mask.flatten()
    return (each * weight).sum() / weight.sum().clamp_min(1)
