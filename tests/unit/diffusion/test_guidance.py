"""Classifier-free guidance against its formula, and conditions on their way through the samplers."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Generator, Tensor

from fedmol.diffusion import Census, Conditions, Logits, NoiseModel, sample
from fedmol.diffusion.guidance import ClassifierFree
from fedmol.diffusion.inpainting import Fragment, Inpainting
from fedmol.diffusion.noise_model import cosine_alphas_bar
from fedmol.diffusion.samplers import ANCESTRAL, FEW_STEP
from fedmol.graphs import Graphs
from fedmol.models import build

GRAPHS = Graphs(
    torch.tensor([[0, 1], [2, 0]]), torch.tensor([[[0, 1], [1, 0]], [[0, 0], [0, 0]]]), torch.tensor([2, 1])
)
TIME = torch.tensor([0.3, 0.8])
CONDITIONS = Conditions.of(torch.tensor([[0.5, -1.0, 2.0], [1.0, math.nan, 0.0]]))


class Opinions:
    """Some fixed logits for each choice of known properties; bonds as symmetric as they have to be."""

    def __init__(self) -> None:
        numbers = Generator().manual_seed(0)
        self.atoms = torch.randn(8, 2, 3, generator=numbers, dtype=torch.float64)
        bonds = torch.randn(8, 2, 2, 3, generator=numbers, dtype=torch.float64)
        self.bonds = bonds + bonds.transpose(1, 2)
        self.asked: list[list[bool]] = []

    def __call__(
        self, atoms: Tensor, bonds: Tensor, counts: Tensor, time: Tensor, conditions: Conditions | None = None
    ) -> Logits:
        assert conditions is not None
        self.asked.append(conditions.known[0].tolist())
        choice = (conditions.known.long() * torch.tensor([4, 2, 1])).sum(1)
        return Logits(self.atoms[choice], self.bonds[choice])


def distributions(logits: Logits) -> list[Tensor]:
    return [part.log_softmax(-1) for part in logits]


def told(denoiser: Opinions, *columns: int) -> list[Tensor]:
    """The denoiser's log-probabilities with these columns only."""
    others = CONDITIONS.without(set(range(3)) - set(columns))
    return distributions(denoiser(GRAPHS.atoms, GRAPHS.bonds, GRAPHS.counts, TIME, others))


@pytest.mark.parametrize("weight", [0.5, 2.0])
def test_one_weight_is_ho_and_salimans(weight: float) -> None:
    denoiser = Opinions()
    guided = distributions(ClassifierFree((weight,) * 3, bound=50.0)(denoiser, GRAPHS, TIME, CONDITIONS))
    assert denoiser.asked == [[True] * 3, [False] * 3]
    for found, given, null in zip(guided, told(denoiser, 0, 1, 2), told(denoiser), strict=True):
        torch.testing.assert_close(found, ((1 + weight) * given - weight * null).log_softmax(-1))


def test_each_weight_compares_with_the_model_that_knows_the_others() -> None:
    denoiser = Opinions()
    guided = distributions(ClassifierFree((1.5, 0.0, 0.25), bound=50.0)(denoiser, GRAPHS, TIME, CONDITIONS))
    assert sorted(denoiser.asked) == [[False, True, True], [True, True, False], [True] * 3]
    parts = told(denoiser, 0, 1, 2), told(denoiser, 1, 2), told(denoiser, 0, 1)
    for found, given, first, third in zip(guided, *parts, strict=True):
        expected = given + 1.5 * (given - first) + 0.25 * (given - third)
        torch.testing.assert_close(found, expected.log_softmax(-1))


def test_weight_zero_is_the_denoiser_itself_asked_once() -> None:
    denoiser = Opinions()
    guided = ClassifierFree((0.0,) * 3)(denoiser, GRAPHS, TIME, CONDITIONS)
    assert len(denoiser.asked) == 1
    plain = denoiser(GRAPHS.atoms, GRAPHS.bonds, GRAPHS.counts, TIME, CONDITIONS)
    assert torch.equal(guided.atoms, plain.atoms)
    assert torch.equal(guided.bonds, plain.bonds)


def test_null_tokens_only_leave_nothing_to_guide_by() -> None:
    denoiser, nothing = Opinions(), Conditions.unknown(2, 3, "cpu")
    guided = ClassifierFree((3.0,) * 3)(denoiser, GRAPHS, TIME, nothing)
    plain = denoiser(GRAPHS.atoms, GRAPHS.bonds, GRAPHS.counts, TIME, nothing)
    assert torch.equal(guided.atoms, plain.atoms)


@pytest.mark.parametrize("bound", [0.5, 3.0])
def test_a_class_that_both_rule_out_does_not_win(bound: float) -> None:
    """1e-9 against 1e-13 is a ratio of 10,000, which at weight 4 would lift the class to certainty."""
    given = torch.tensor([0.9, 0.1 - 1e-9, 1e-9], dtype=torch.float64).log()
    null = torch.tensor([0.8, 0.2 - 1e-13, 1e-13], dtype=torch.float64).log()

    def denoiser(
        atoms: Tensor, bonds: Tensor, counts: Tensor, time: Tensor, conditions: Conditions | None = None
    ) -> Logits:
        assert conditions is not None
        row = given if conditions.known.any() else null
        return Logits(row.expand(2, 2, 3), row.expand(2, 2, 2, 3))

    for logits in ClassifierFree((4.0,) * 3, bound)(denoiser, GRAPHS, TIME, CONDITIONS):
        share = logits.softmax(-1).flatten(0, -2)[0]
        odds, before = (share / share[0]).log(), given - given[0]
        assert (odds - before).abs().max() <= 2 * bound + 1e-9
        assert share[2] < 1e-6
    assert ClassifierFree((4.0,) * 3, 1e3)(denoiser, GRAPHS, TIME, CONDITIONS).atoms.softmax(-1)[0, 0, 2] > 0.99


@pytest.mark.parametrize("weights", [(-1.0,), (math.nan,), (math.inf,), (101.0,)])
def test_weights_are_bounded(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="weights"):
        ClassifierFree(weights)


@pytest.mark.parametrize("bound", [0.0, -1.0, math.nan, math.inf])
def test_the_bound_is_one(bound: float) -> None:
    with pytest.raises(ValueError, match="bound"):
        ClassifierFree((1.0,), bound)


@pytest.mark.parametrize("conditions", [None, Conditions.unknown(2, 2, "cpu")])
def test_guidance_without_its_conditions_is_refused(conditions: Conditions | None) -> None:
    with pytest.raises(ValueError, match="guidance of 3 properties"):
        ClassifierFree((1.0,) * 3)(Opinions(), GRAPHS, TIME, conditions)


NOISE = NoiseModel.from_census(
    Census(torch.tensor([3, 2, 1, 1]), torch.tensor([5, 3, 1, 1]), torch.tensor([0, 2, 3, 2, 1, 1])), steps=50
)


def obeys(atoms: Tensor, bonds: Tensor, counts: Tensor, time: Tensor, conditions: Conditions | None = None) -> Logits:
    """All atoms are of the class that the first property says; the second says how sure that is."""
    assert conditions is not None
    chosen = torch.nn.functional.one_hot(conditions.values[:, 0].long(), 4) * conditions.known[:, :1]
    sure = 20.0 * chosen * torch.where(conditions.known[:, 1:], conditions.values[:, 1:], 1.0)
    return Logits(sure[:, None].expand(*atoms.shape, 4), torch.zeros(*bonds.shape, 4))


@pytest.mark.parametrize("sampler", [ANCESTRAL, FEW_STEP], ids=lambda sampler: sampler.name)
@pytest.mark.parametrize("around", [False, True], ids=["free", "around a fragment"])
def test_each_graph_has_its_own_conditions_whatever_its_size_and_batch(sampler: object, around: bool) -> None:
    asked = torch.tensor(list(itertools.islice(itertools.cycle([3.0, 0.0, 2.0, 1.0, 1.0]), 40)))
    conditions = Conditions.of(torch.stack([asked, torch.full((40,), math.nan)], 1))
    fragment = Fragment(torch.tensor([2]), torch.zeros(1, 1, 1, dtype=torch.int64), torch.tensor([False]))
    denoiser = Inpainting(obeys, fragment) if around else obeys
    made = sample(denoiser, NOISE, 40, Generator().manual_seed(0), 4, 8, sampler=sampler, conditions=conditions)  # type: ignore[arg-type]
    expected = asked[:, None].expand(-1, made.width).long()
    mask = made.atom_mask.clone()
    if around:
        assert (made.atoms[:, 0] == 2).all()
        mask[:, 0] = False
    assert len(set(made.counts.tolist())) > 2
    assert torch.equal(made.atoms[mask].long(), expected[mask])


def test_as_many_conditions_as_graphs() -> None:
    with pytest.raises(ValueError, match="3 conditions for 4 graphs"):
        sample(obeys, NOISE, 4, Generator(), conditions=Conditions.unknown(3, 2, "cpu"))


def test_guided_draws_follow_the_blended_distribution() -> None:
    """Chi-square of one atom: p(x | c)^(1 + w) / p(x)^w, in one jump from pure noise."""
    shares = {True: torch.tensor([0.5, 0.3, 0.2]), False: torch.tensor([0.4, 0.2, 0.4])}
    marginal = torch.full((3,), 1 / 3, dtype=torch.float64)
    noise = NoiseModel(100, cosine_alphas_bar(100), marginal, torch.ones(1).double(), torch.tensor([0.0, 1.0]).double())

    def denoiser(
        atoms: Tensor, bonds: Tensor, counts: Tensor, time: Tensor, conditions: Conditions | None = None
    ) -> Logits:
        """Nothing is seen at the last time; at time 0 what is seen is right."""
        assert conditions is not None
        share = shares[bool(conditions.known.any())].log().expand(len(atoms), 1, 3)
        seen = 100.0 * torch.nn.functional.one_hot(atoms, 3) if float(time[0]) == 0 else 0.0
        return Logits(share + seen, torch.zeros(len(atoms), 1, 1, 1))

    weight, count = 1.5, 20_000
    told = Conditions.of(torch.zeros(count, 1))
    made = sample(
        denoiser,
        noise,
        count,
        Generator().manual_seed(0),
        1,
        count,
        sampler=ANCESTRAL,
        conditions=told,
        guidance=ClassifierFree((weight,)),
    )
    blended = shares[True] ** (1 + weight) / shares[False] ** weight
    expected = count * blended / blended.sum()
    counted = torch.bincount(made.atoms[:, 0], minlength=3)
    assert ((counted - expected) ** 2 / expected).sum().item() < 18.4  # exceeded by chance once in ten thousand


@pytest.mark.parametrize("preset", ["small", "digress"])
def test_without_guidance_and_conditions_a_denoiser_makes_what_null_tokens_make(preset: str) -> None:
    denoiser = build(preset, 4, 4, 5, seed=0, layers=1, properties=2)
    nothing = Conditions(torch.full((6, 2), 5.0), torch.zeros(6, 2, dtype=torch.bool))
    told = Conditions.of(torch.full((6, 2), 5.0))
    made = [
        sample(denoiser, NOISE, 6, Generator().manual_seed(1), 6, **asked)
        for asked in (
            {},
            {"conditions": nothing},
            {"conditions": nothing, "guidance": ClassifierFree((2.0, 2.0))},
            {"conditions": told},
            {"conditions": told, "guidance": ClassifierFree((0.0, 0.0))},
        )
    ]
    for other in made[1:3]:
        assert torch.equal(other.atoms, made[0].atoms)
        assert torch.equal(other.bonds, made[0].bonds)
    assert torch.equal(made[4].bonds, made[3].bonds)
