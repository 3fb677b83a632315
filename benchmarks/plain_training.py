"""Training and sampling of the plain network as the reference does both: molecule by molecule, one-hot, matrices.

The noise is written out with transition matrices Q = a I + (1 - a) 1 m^T, and drawn entry by entry with
`torch.multinomial`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot
from torch.optim import AdamW

from benchmarks.plain import PlainDenoiser
from fedmol.diffusion import Logits, NoiseModel
from fedmol.graphs import Graphs

LEARNING_RATE, WEIGHT_DECAY = 2e-4, 1e-12
BOND_WEIGHT = 5.0


@dataclass(frozen=True)
class Molecule:
    """One graph as the reference keeps it: a list of atoms and a list of bonds, each bond in both directions."""

    x: Tensor  # (n, a) one-hot
    ends: Tensor  # (2, m)
    kinds: Tensor  # (m, b) one-hot


@dataclass(frozen=True)
class Dense:
    """A batch as the network wants it."""

    x: Tensor  # (B, N, a) one-hot, zero outside the graph
    e: Tensor  # (B, N, N, b) one-hot, zero outside the graph and on the diagonal
    mask: Tensor  # (B, N)

    def to(self, device: torch.device) -> Dense:
        return Dense(self.x.to(device), self.e.to(device), self.mask.to(device))


def molecules(graphs: Graphs, atom_types: int, bond_types: int) -> list[Molecule]:
    """The graphs as separate molecules."""
    separate = []
    for atoms, bonds, n in zip(graphs.atoms, graphs.bonds, graphs.counts.tolist(), strict=True):
        ends = bonds[:n, :n].nonzero().T
        kinds = bonds[ends[0], ends[1]].long()
        separate.append(Molecule(one_hot(atoms[:n].long(), atom_types).float(), ends, one_hot(kinds, bond_types)))
    return separate


def collate(batch: Sequence[Molecule]) -> Dense:
    """One dense batch, padded to its largest molecule, with "no bond" between atoms that no bond joins."""
    counts = torch.tensor([len(graph.x) for graph in batch], device=batch[0].x.device)
    n = int(counts.max())
    slots = torch.arange(n, device=counts.device)
    mask = slots < counts[:, None]
    x = batch[0].x.new_zeros(len(batch), n, batch[0].x.shape[1])
    x[mask] = torch.cat([graph.x for graph in batch])
    owner = torch.cat([torch.full_like(graph.ends[0], k) for k, graph in enumerate(batch)])
    first, second = torch.cat([graph.ends for graph in batch], 1)
    e = x.new_zeros(len(batch), n, n, batch[0].kinds.shape[1])
    e[owner, first, second] = torch.cat([graph.kinds for graph in batch]).float()
    e[..., 0] = (mask[:, :, None] & mask[:, None] & (slots[:, None] != slots) & (e.sum(-1) == 0)).float()
    return Dense(x, e, mask)


def build_optimizer(denoiser: nn.Module) -> AdamW:
    return AdamW(denoiser.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, amsgrad=True)


def train_step(denoiser: PlainDenoiser, optimizer: AdamW, noise: NoiseModel, clean: Dense) -> float:
    """One step of the optimiser on one batch; the loss."""
    optimizer.zero_grad()
    times = torch.randint(noise.steps + 1, (len(clean.x),), device=clean.x.device)
    atoms, bonds = add_noise(clean, noise.alphas_bar[times].float(), noise)
    logits = denoiser(atoms, bonds, clean.mask.sum(1), times / noise.steps)
    value = loss(logits, clean)
    torch.autograd.backward(value)
    optimizer.step()
    return float(value.detach())


def add_noise(clean: Dense, kept: Tensor, noise: NoiseModel) -> tuple[Tensor, Tensor]:
    """Class indices of z_t: a draw for every atom and every unordered pair."""
    x = clean.x @ transition(kept, noise.atom_marginal)
    e = clean.e @ transition(kept, noise.bond_marginal)[:, None]
    return draw(x, clean.mask), draw_pairs(e, clean.mask)


def transition(kept: Tensor, marginal: Tensor) -> Tensor:
    """The matrix that keeps a class with probability `kept` (B,) and else takes one of `marginal` (k,): (B, k, k)."""
    same = torch.eye(len(marginal), device=marginal.device)
    return kept[:, None, None] * same + (1 - kept[:, None, None]) * marginal.float().expand(len(marginal), -1)


def draw(probabilities: Tensor, mask: Tensor) -> Tensor:
    """A class index where `mask` is true, 0 elsewhere."""
    sure = one_hot(torch.zeros_like(mask, dtype=torch.long), probabilities.shape[-1])
    rows = torch.where(mask[..., None], probabilities, sure.float())
    return rows.flatten(0, -2).multinomial(1).view(mask.shape)


def draw_pairs(probabilities: Tensor, mask: Tensor) -> Tensor:
    """A class index for each unordered pair of atoms, the same in both directions."""
    upper = draw(probabilities, (mask[:, :, None] & mask[:, None]).triu(1))
    return upper + upper.transpose(1, 2)


def loss(logits: Logits, clean: Dense) -> Tensor:
    """Mean cross-entropy of atoms + 5 x mean cross-entropy of ordered pairs."""
    atoms, bonds = clean.x[clean.mask], clean.e.sum(-1) > 0
    of_atoms = cross_entropy(logits.atoms[clean.mask], atoms.argmax(-1))
    return of_atoms + BOND_WEIGHT * cross_entropy(logits.bonds[bonds], clean.e[bonds].argmax(-1))


def sample(denoiser: PlainDenoiser, noise: NoiseModel, counts: Tensor, times: Sequence[int]) -> Graphs:
    """Graphs of `counts` atoms after the reverse steps from each of `times` to the time before it.

    All of T, T - 1, ..., 1 make molecules; a few of them show how long a step takes.
    """
    mask = torch.arange(int(counts.max()), device=counts.device) < counts[:, None]
    full = mask.shape[1]
    atoms = draw(noise.atom_marginal.float().expand(len(counts), full, -1), mask)
    bonds = draw_pairs(noise.bond_marginal.float().expand(len(counts), full, full, -1), mask)
    denoiser.eval()
    for t in times:
        with torch.no_grad():
            logits = denoiser(atoms, bonds, counts, torch.full((len(counts),), t / noise.steps, device=counts.device))
        atoms = draw(reverse(logits.atoms, atoms, t, noise, noise.atom_marginal), mask)
        bonds = draw_pairs(reverse(logits.bonds, bonds, t, noise, noise.bond_marginal), mask)
    return Graphs(atoms, bonds, counts)


def reverse(logits: Tensor, noisy: Tensor, t: int, noise: NoiseModel, marginal: Tensor) -> Tensor:
    """p(z_s | z_t) = sum over x of p(x) q(z_t | z_s) q(z_s | x) / q(z_t | x), s = t - 1: (..., k)."""
    kept_t, kept_s = noise.alphas_bar[t, None].float(), noise.alphas_bar[t - 1, None].float()
    z = one_hot(noisy, len(marginal)).float()
    from_s = z @ transition(kept_t / kept_s, marginal)[0].T  # (..., s) q(z_t | z_s)
    from_x = z @ transition(kept_t, marginal)[0].T  # (..., x) q(z_t | x)
    each = from_s[..., None, :] * transition(kept_s, marginal)[0] / from_x.clamp_min(1e-12)[..., None]  # (..., x, s)
    return (logits.softmax(-1)[..., None] * each).sum(-2) + 1e-12
