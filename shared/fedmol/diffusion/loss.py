"""The training loss of DiGress."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy

from fedmol.diffusion.denoising import Logits
from fedmol.graphs import Graphs

BOND_WEIGHT = 5.0


def loss(logits: Logits, clean: Graphs, bond_weight: float = BOND_WEIGHT, whole: Graphs | None = None) -> Tensor:
    """Mean cross-entropy over real atoms + `bond_weight` x mean cross-entropy over real ordered pairs, in nats.

    Vignac et al. 2023, equation 2. No weighting by time. The cross-entropy of an entry is least, given z_t, where the
    prediction is p(x | z_t), which is what every posterior in `fedmol.diffusion.posterior` asks for. An ordered pair is
    a target of its own: of symmetric bonds each counts twice in sum and number, so that their mean is that over
    unordered pairs. Where `clean` is a part of the batch `whole`, the means are
    over that batch, so that the losses of its parts add up to its loss.
    """
    counts = (clean if whole is None else whole).counts
    atoms = _summed_cross_entropy(logits.atoms, clean.atoms, clean.atom_mask) / counts.sum().clamp_min(1)
    bonds = _summed_cross_entropy(logits.bonds, clean.bonds, clean.pair_mask)
    return atoms + bond_weight * (bonds / (counts * (counts - 1)).sum().clamp_min(1))


def _summed_cross_entropy(logits: Tensor, classes: Tensor, mask: Tensor) -> Tensor:
    each = cross_entropy(logits.flatten(0, -2), classes.long().flatten(), reduction="none")
    return (each * mask.flatten()).sum()
