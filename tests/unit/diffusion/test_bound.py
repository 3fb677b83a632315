"""The likelihood's terms, and that their sum is a bound, by enumerating every state of a two-atom molecule in float64.

No formula here comes from the library: transition matrices are explicit products, posteriors are Bayes' rule over all
earlier classes. The noise stops early, so that its distance from pure noise counts too.
"""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from fedmol.diffusion import Conditions, Logits, NoiseModel, nll
from fedmol.graphs import Graphs

KEPT = torch.tensor([0.95, 0.8, 0.55, 0.3, 0.1], dtype=torch.float64)
STEPS = len(KEPT) - 1
ATOMS = torch.tensor([0.7, 0.3], dtype=torch.float64)
BONDS = torch.tensor([0.5, 0.4, 0.1], dtype=torch.float64)
MARGINALS = (ATOMS, ATOMS, BONDS)
SIZES = torch.tensor([0.0, 0.2, 0.8], dtype=torch.float64)
MOLECULE = (0, 1, 2)  # first atom, second atom, bond
STATES = list(itertools.product(range(2), range(2), range(3)))
NOISE = NoiseModel(STEPS, KEPT, ATOMS, BONDS, SIZES)


def step_matrix(t: int, marginal: Tensor) -> Tensor:
    """Q_t, rows from, columns to; Q_0 leads from the clean molecule to z_0."""
    before = KEPT[t - 1] if t else 1.0
    keep = float(KEPT[t] / before)
    return torch.stack([keep * row + (1 - keep) * marginal for row in torch.eye(len(marginal), dtype=torch.float64)])


def up_to(t: int, marginal: Tensor) -> Tensor:
    """Q_0 Q_1 ... Q_t."""
    product = torch.eye(len(marginal), dtype=torch.float64)
    for step in range(t + 1):
        product = product @ step_matrix(step, marginal)
    return product


def bayes(clean: Tensor, seen: int, t: int, marginal: Tensor) -> Tensor:
    """z_(t-1) given z_t, for a clean class drawn from the distribution `clean`."""
    joint = clean @ up_to(t - 1, marginal) * step_matrix(t, marginal)[:, seen]
    return joint / joint.sum()


def mixture(share: Tensor, seen: int, t: int, marginal: Tensor) -> Tensor:
    """The same averaged over the clean classes, each taken for certain, with the weights `share`."""
    each = [bayes(certain, seen, t, marginal) for certain in torch.eye(len(marginal), dtype=torch.float64)]
    return share @ torch.stack(each)


class Opinions:
    """A denoiser with some fixed opinion on every state at every time, which leans towards the molecule."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(4)
        self.table = torch.randn(STEPS + 1, 2, 2, 3, 2 + 2 + 3, generator=generator, dtype=torch.float64)
        self.table = self.table / 3 + 2 * torch.eye(7, dtype=torch.float64)[[0, 2 + 1, 4 + 2]].sum(0)
        self.calls: list[tuple[Graphs, Tensor]] = []

    def __call__(
        self, atoms: Tensor, bonds: Tensor, counts: Tensor, time: Tensor, conditions: Conditions | None = None
    ) -> Logits:
        steps = (time * STEPS).round().long()
        self.calls.append((Graphs(atoms, bonds, counts), steps))
        rows = self.table[steps, atoms[:, 0], atoms[:, 1], bonds[:, 0, 1]]
        first, second, bond = torch.split(rows, [2, 2, 3], -1)
        return Logits(torch.stack([first, second], 1), bond[:, None, None].expand(-1, 2, 2, -1))

    def prediction(self, state: tuple[int, ...], t: int) -> list[Tensor]:
        return [part.softmax(-1) for part in torch.split(self.table[t, *state], [2, 2, 3])]


def divergence(true: Tensor, guess: Tensor) -> float:
    return sum(float(p) * math.log(p / q) for p, q in zip(true, guess, strict=True) if p > 0)


def step_terms(denoiser: Opinions, state: tuple[int, ...], t: int) -> dict[str, list[float]]:
    """T x KL for each of the three entries, by the two readings of the model's posterior."""
    plugged, mixed = [], []
    for seen, clean, marginal, share in zip(state, MOLECULE, MARGINALS, denoiser.prediction(state, t), strict=True):
        certain = torch.eye(len(marginal), dtype=torch.float64)[clean]
        true = bayes(certain, seen, t, marginal)
        plugged.append(STEPS * divergence(true, bayes(share, seen, t, marginal)))
        mixed.append(STEPS * divergence(true, mixture(share, seen, t, marginal)))
    return {"diffusion": plugged, "sampled": mixed}


def last_terms(denoiser: Opinions, state: tuple[int, ...]) -> list[float]:
    """-log p(x | z_0) of each entry."""
    return [-math.log(share[clean]) for share, clean in zip(denoiser.prediction(state, 0), MOLECULE, strict=True)]


def ends() -> list[tuple[Tensor, Tensor]]:
    """The limit and q(z_T | x) of each entry."""
    return [(marginal, up_to(STEPS, marginal)[clean]) for marginal, clean in zip(MARGINALS, MOLECULE, strict=True)]


def molecules(count: int) -> Graphs:
    first, second, bond = MOLECULE
    bonds = torch.tensor([[0, bond], [bond, 0]])
    return Graphs(torch.tensor([first, second]).repeat(count, 1), bonds.repeat(count, 1, 1), torch.full((count,), 2))


def states(graphs: Graphs) -> list[tuple[int, ...]]:
    return [(*atoms, bonds[0][1]) for atoms, bonds in zip(graphs.atoms.tolist(), graphs.bonds.tolist(), strict=True)]


def test_every_term_against_bayes_on_the_states_that_were_drawn() -> None:
    denoiser = Opinions()
    found = nll(denoiser, NOISE, molecules(60), torch.Generator().manual_seed(0), batch_size=60)
    (noisy, times), (first, zeros) = denoiser.calls
    assert set(times.tolist()) == set(range(1, STEPS + 1))
    assert zeros.tolist() == [0] * 60
    each = [step_terms(denoiser, state, t) for state, t in zip(states(noisy), times.tolist(), strict=True)]
    last = [last_terms(denoiser, state) for state in states(first)]
    expected = {name: [sum(row[name][k] for row in each) / 60 for k in range(3)] for name in ("diffusion", "sampled")}
    expected["reconstruction"] = [sum(row[k] for row in last) / 60 for k in range(3)]
    expected["prior"] = [divergence(limit, reached) for limit, reached in ends()]
    expected["start"] = [divergence(reached, limit) for limit, reached in ends()]
    for name, (one, two, bond) in expected.items():
        assert found.terms[f"{name}_atoms"] == pytest.approx(one + two, rel=1e-4), name
        assert found.terms[f"{name}_bonds"] == pytest.approx(bond, rel=1e-4), name
    published, sampler = ("prior", "diffusion", "reconstruction"), ("start", "sampled", "reconstruction")
    once = -math.log(SIZES[2]) + sum(sum(expected[name]) for name in published)
    assert found.edges_once == pytest.approx(once, rel=1e-4)
    assert found.published == pytest.approx(once + sum(expected[name][2] for name in published), rel=1e-4)
    assert found.sampler == pytest.approx(-math.log(SIZES[2]) + sum(sum(expected[name]) for name in sampler), rel=1e-4)


def probability_of_generating(denoiser: Opinions) -> float:
    """Exact p(x): all chains z_T, ..., z_0, x of ancestral sampling, the last draw being p(x | z_0)."""
    weights = {state: math.prod(float(m[k]) for m, k in zip(MARGINALS, state, strict=True)) for state in STATES}
    for t in range(STEPS, 0, -1):
        earlier = dict.fromkeys(STATES, 0.0)
        for state, weight in weights.items():
            shares = denoiser.prediction(state, t)
            entries = zip(shares, state, MARGINALS, strict=True)
            kernels = [mixture(share, seen, t, marginal) for share, seen, marginal in entries]
            for target in STATES:
                earlier[target] += weight * math.prod(float(k[z]) for k, z in zip(kernels, target, strict=True))
        weights = earlier
    assert sum(weights.values()) == pytest.approx(1)
    return float(SIZES[2]) * sum(
        weight * math.exp(-sum(last_terms(denoiser, state))) for state, weight in weights.items()
    )


def reaching(state: tuple[int, ...], t: int) -> float:
    """q(z_t | x)."""
    parts = zip(state, MOLECULE, MARGINALS, strict=True)
    return math.prod(float(up_to(t, marginal)[clean, seen]) for seen, clean, marginal in parts)


def test_the_samplers_bound_is_one() -> None:
    """Its expectation over all times and noisy states is not below the exact -log p(x), nor far above it."""
    denoiser = Opinions()
    expectation = -math.log(SIZES[2]) + sum(divergence(reached, limit) for limit, reached in ends())
    expectation += sum(reaching(state, 0) * sum(last_terms(denoiser, state)) for state in STATES)
    for t, state in itertools.product(range(1, STEPS + 1), STATES):
        expectation += reaching(state, t) * sum(step_terms(denoiser, state, t)["sampled"]) / STEPS
    exact = -math.log(probability_of_generating(denoiser))
    assert exact < expectation < exact + 1
    found = nll(denoiser, NOISE, molecules(20_000), torch.Generator().manual_seed(1), batch_size=20_000)
    assert found.sampler == pytest.approx(expectation, abs=0.03)
