"""Generating around a given fragment: its atoms and bonds are known, the denoiser predicts the rest.

At every call the fragment stands in the noisy graph as it is, and its classes in the prediction are certain. No sampler
knows of it. Showing the fragment with the noise of the time, as RePaint does (Lugmayr et al. 2022), was measured to
give fewer valid molecules: the denoiser then trusts the rest, which is not final, as much as the fragment.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from fedmol.diffusion.conditions import Conditions
from fedmol.diffusion.denoising import Denoises, Logits
from fedmol.diffusion.noise_model import NoiseModel
from fedmol.graphs import Graphs

FREE = -1
_CERTAIN = 1e4  # a logit


@dataclass(frozen=True)
class Fragment:
    """The first `m` atoms of every graph: class indices, `FREE` where the denoiser is to choose.

    One molecule can have several Kekule forms, with the same atoms and other bonds. The graphs of a batch take them in
    turn: a bond that what grows needs as a double one is so in some of them.
    """

    atoms: Tensor  # (m,) int64
    bonds: Tensor  # (f, m, m) int64, symmetric, one matrix for each of f Kekule forms
    closed: Tensor  # (m,) bool: has no bonds but those to atoms of the fragment

    def to(self, device: torch.device | str) -> Fragment:
        return Fragment(self.atoms.to(device), self.bonds.to(device), self.closed.to(device))

    def __len__(self) -> int:
        return self.atoms.shape[0]

    @property
    def least(self) -> int:
        """Atoms of the smallest graph in which something is left to choose."""
        return len(self) + int((self.atoms != FREE).all())

    def known(self, width: int) -> tuple[Tensor, Tensor]:
        """Classes of atoms (N,) and bonds (f, N, N) of graphs of `width` slots, `FREE` where they are not known."""
        m = len(self)
        atoms = self.atoms.new_full((width,), FREE)
        bonds = self.bonds.new_full((len(self.bonds), width, width), FREE)
        atoms[:m] = self.atoms
        bonds[:, :m, m:] = torch.where(self.closed, 0, FREE)[:, None]
        bonds[:, m:, :m] = bonds[:, :m, m:].mT
        bonds[:, :m, :m] = self.bonds
        return atoms, bonds


class Inpainting(nn.Module):
    """A denoiser that knows the atoms and bonds of `fragment` and asks `denoiser` for the others."""

    def __init__(self, denoiser: Denoises, fragment: Fragment) -> None:
        super().__init__()
        self.denoiser, self.fragment = denoiser, fragment

    def forward(
        self, atoms: Tensor, bonds: Tensor, counts: Tensor, time: Tensor, conditions: Conditions | None = None
    ) -> Logits:
        known_atoms, forms = self.fragment.known(atoms.shape[1])
        known_bonds = forms[torch.arange(len(atoms), device=atoms.device) % len(forms)]  # (B, N, N)
        shown = Graphs(_shown(atoms, known_atoms), _shown(bonds, known_bonds), counts)
        entries = shown.atoms * shown.atom_mask, shown.bonds * shown.pair_mask
        guess = self.denoiser(*entries, counts, time, conditions)
        return Logits(_certain(guess.atoms, known_atoms), _certain(guess.bonds, known_bonds))


def _shown(noisy: Tensor, known: Tensor) -> Tensor:
    return torch.where(known == FREE, noisy, known)


def _certain(logits: Tensor, known: Tensor) -> Tensor:
    """`logits` (..., k) with those of known classes replaced by certainty."""
    classes = torch.arange(logits.shape[-1], device=logits.device)
    certain = torch.where(classes == known[..., None], _CERTAIN, -_CERTAIN).to(logits.dtype)
    return torch.where(known[..., None] == FREE, logits, certain)


def between(noise: NoiseModel, least: int, most: int) -> NoiseModel:
    """`noise` with the sizes `least`..`most` only, in the proportions they have; evenly if none has a share."""
    sizes = torch.arange(noise.max_atoms + 1, device=noise.size_distribution.device)
    allowed = ((sizes >= least) & (sizes <= most)).to(noise.size_distribution)
    shares = noise.size_distribution * allowed
    shares = shares if shares.any() else allowed
    return replace(noise, size_distribution=shares / shares.sum())
