"""Bounds on the negative log-likelihood of a graph, in nats per molecule.

For a chain z_T, ..., z_0, x whose forward steps q are the noise and whose backward steps p are the model's, Jensen's
inequality with q(z_0, ..., z_T | x) gives (Sohl-Dickstein et al. 2015; Austin et al. 2021, equation 1)

    -log p(x) <= -log p(N) + KL(q(z_T | x) || p(z_T)) + sum over t = 1..T of E KL(q(z_s | z_t, x) || p(z_s | z_t))
                 + E[-log p(x | z_0)],  s = t - 1.

The expectations are over q(z_t | x). The sum is T times its mean, of which one random t for each molecule is an
unbiased estimate. All distributions are products over atoms and unordered pairs, so that divergences and logarithms
are sums over these entries.

Three conventions of one estimate are reported together, because published figures differ by a factor of three for
the same model:

* `published`: the reference implementation's own (`compute_val_loss` of DiGress): every ordered pair of atoms counts,
  so each bond twice, and the prediction is plugged into the posterior in place of a known molecule. Comparable with
  published figures only: it bounds no model that anybody samples from.
* `edges_once`: the same with each bond counted once.
* `sampler`: each bond once, and the posterior that sampling really uses, the mixture of the posteriors of all
  molecules. A bound for the model that generates, if its last draw is p(x | z_0).

All three contain -log p(N), the distance of z_T from pure noise (which the reference takes the wrong way round; below
1e-8 nats with its schedule of 500 steps, either way), T times the divergence at one random time 1..T for each molecule,
and -log p(x | z_0) from a second call of the network at time 0. To every predicted probability of z_s, 1e-7 is added.
The graphs are those of the vocabulary: bonds of a Kekule form, no hydrogens. With one time for each molecule the
estimate is noisy: a difference of 0.5 needs some 20,000 molecules.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Generator, Tensor

from fedmol.diffusion.denoising import BATCH, Denoises, Logits, evaluating
from fedmol.diffusion.forward import add_noise, stratified_times
from fedmol.diffusion.noise_model import NoiseModel
from fedmol.diffusion.posterior import mixture_posterior, plug_in_posterior
from fedmol.graphs import Graphs
from fedmol.ragged import check_symmetric

FLOOR = 1e-7  # the reference adds it to every probability before taking logarithms


@dataclass(frozen=True)
class Likelihood:
    """The estimate over `molecules` molecules, each at one random time; lower is better."""

    published: float
    edges_once: float
    sampler: float
    standard_error: float  # of `published`; infinite for one molecule
    molecules: int
    terms: dict[str, float]  # the parts of `published`, and of `sampler` where they differ

    def to_json(self) -> dict[str, float | int | dict[str, float]]:
        return asdict(self)


def nll(
    denoiser: Denoises, noise: NoiseModel, graphs: Graphs, generator: Generator, batch_size: int | None = None
) -> Likelihood:
    """Estimate the bounds on `graphs` with two network calls per molecule.

    -log p(N) + prior term + T x KL at one time t of 1..T (stratified over the whole set) + reconstruction from z_0.
    The denoiser is told no properties, whatever the graphs carry: it is the likelihood of the model without conditions.

    Raises:
        ValueError: see `fedmol.ragged.check_symmetric`.
    """
    check_symmetric(graphs)
    times = stratified_times(len(graphs), 1, noise.steps, generator, graphs.counts.device)
    size = batch_size or BATCH[graphs.counts.device.type]
    slices = [slice(start, start + size) for start in range(0, len(graphs), size)]
    with evaluating(denoiser):
        parts = [_terms(denoiser, noise, graphs[part].trimmed(), times[part], generator) for part in slices]
    each = {name: torch.cat([part[name] for part in parts]).double() for name in parts[0]}
    sums = {
        "published": each["size"]
        + sum(each[f"{term}_atoms"] + 2 * each[f"{term}_bonds"] for term in ("prior", "diffusion", "reconstruction")),
        "edges_once": each["size"]
        + sum(each[f"{term}_atoms"] + each[f"{term}_bonds"] for term in ("prior", "diffusion", "reconstruction")),
        "sampler": each["size"]
        + sum(each[f"{term}_atoms"] + each[f"{term}_bonds"] for term in ("start", "sampled", "reconstruction")),
    }
    means = {name: float(value.mean()) for name, value in sums.items()}
    spread = float(sums["published"].std(correction=1)) if len(graphs) > 1 else math.inf
    return Likelihood(
        **means,
        standard_error=spread / len(graphs) ** 0.5,
        molecules=len(graphs),
        terms={name: float(value.mean()) for name, value in each.items()},
    )


def _terms(
    denoiser: Denoises, noise: NoiseModel, clean: Graphs, times: Tensor, generator: Generator
) -> dict[str, Tensor]:
    """Every term for every molecule of a batch, bonds counted once."""
    noisy = add_noise(clean, times, noise, generator)
    guess = _call(denoiser, noise, noisy, times)
    start = torch.zeros_like(times)
    first = _call(denoiser, noise, add_noise(clean, start, noise, generator), start)
    terms = {"size": -torch.log(noise.size_distribution[clean.counts] + 1e-30)}
    for kind in ("atoms", "bonds"):
        entries = _Entries(noise, clean, noisy, times, kind)
        terms[f"prior_{kind}"] = entries.total(entries.prior())
        terms[f"start_{kind}"] = entries.total(entries.start())
        terms[f"diffusion_{kind}"] = entries.total(noise.steps * entries.divergence(guess, plug_in_posterior))
        terms[f"sampled_{kind}"] = entries.total(noise.steps * entries.divergence(guess, mixture_posterior))
        terms[f"reconstruction_{kind}"] = entries.total(entries.reconstruction(first))
    return terms


def _call(denoiser: Denoises, noise: NoiseModel, noisy: Graphs, times: Tensor) -> Logits:
    return denoiser(noisy.atoms, noisy.bonds, noisy.counts, (times / noise.steps).float())


class _Entries:
    """The atoms, or the bonds, of a batch: what the terms of the bound need to know about them."""

    def __init__(self, noise: NoiseModel, clean: Graphs, noisy: Graphs, times: Tensor, kind: str) -> None:
        self.kind = kind
        self.mask = clean.atom_mask if kind == "atoms" else clean.pair_mask.triu(1)
        self.clean = getattr(clean, kind)[self.mask].long()  # (M,)
        self.noisy = getattr(noisy, kind)[self.mask].long()  # (M,)
        self.owner = self.mask.flatten(1).nonzero()[:, 0]  # (M,) which molecule
        self.molecules = len(clean)
        self.marginal = noise.atom_marginal if kind == "atoms" else noise.bond_marginal
        self.kept = noise.alphas_bar[times][self.owner]
        self.kept_before = noise.alphas_bar[times - 1][self.owner]
        self.last = noise.alphas_bar[-1]

    def total(self, each: Tensor) -> Tensor:
        """Sum of a value per entry (M,) over each molecule (B,)."""
        return torch.zeros(self.molecules, dtype=each.dtype, device=each.device).index_add_(0, self.owner, each)

    def _one_hot(self) -> Tensor:
        return torch.nn.functional.one_hot(self.clean, self.marginal.shape[0]).double()

    def _probabilities(self, logits: Logits) -> Tensor:
        chosen: Tensor = getattr(logits, self.kind)[self.mask]
        return chosen.double().softmax(-1)  # (M, k)

    def _reached(self) -> Tensor:
        return self.last * self._one_hot() + (1 - self.last) * self.marginal  # q(z_T | x), (M, k)

    def prior(self) -> Tensor:
        """KL(limit || q(z_T | x)), with its arguments in the reference's order."""
        return _kl(self.marginal, _floored(self._reached()))

    def start(self) -> Tensor:
        """KL(q(z_T | x) || limit), as in the bound."""
        return _kl(self._reached(), _floored(self.marginal))

    def divergence(self, guess: Logits, posterior: Callable[..., Tensor]) -> Tensor:
        """KL(q(z_s | z_t, x) || the posterior of the prediction), s = t - 1."""
        true = plug_in_posterior(self._one_hot(), self.noisy, self.kept_before, self.kept, self.marginal)
        predicted = posterior(self._probabilities(guess), self.noisy, self.kept_before, self.kept, self.marginal)
        return _kl(true, _floored(predicted))

    def reconstruction(self, first: Logits) -> Tensor:
        """-log p(x | z_0)."""
        return -self._probabilities(first).gather(1, self.clean[:, None])[:, 0].log()


def _floored(probabilities: Tensor) -> Tensor:
    raised = probabilities + FLOOR
    return raised / raised.sum(-1, keepdim=True)


def _kl(true: Tensor, predicted: Tensor) -> Tensor:
    return (torch.xlogy(true, true) - true * predicted.log()).sum(-1)
