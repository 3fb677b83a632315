"""Each local method against its formula, in a site's own training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from fedmol.errors import FedmolError
from fedmol.fl.federation import parse
from fedmol.fl.identity import settings_differences, shared_settings
from fedmol.fl.local_methods import LocalMethod, Plain
from fedmol.fl.local_methods.fedprox import FedProx
from fedmol.fl.payload import MODEL

SITES = {"sites": [{"name": "a"}]}


def descend(method: LocalMethod, start: torch.Tensor, steps: int, rate: float) -> torch.Tensor:
    """Plain gradient descent on |w - 1|^2 / 2."""
    weight = nn.Parameter(start.clone())
    on_gradient = method.before_round({MODEL: [start]}, {}, {})
    for _ in range(steps):
        weight.grad = weight.detach() - 1
        if on_gradient is not None:
            on_gradient([weight])
        weight = nn.Parameter(weight.detach() - rate * weight.grad)
    return weight.detach()


def test_fedprox_ends_where_equation_2_of_the_paper_has_its_minimum() -> None:
    start, mu = torch.tensor([0.0, 4.0]), 0.5
    found = descend(FedProx(name="fedprox", mu=mu), start, 200, 0.1)
    np.testing.assert_allclose(found, (1 + mu * start) / (1 + mu), rtol=1e-5)


def test_without_its_term_fedprox_is_plain_training() -> None:
    start = torch.randn(50, generator=torch.Generator().manual_seed(0))
    assert torch.equal(descend(FedProx(name="fedprox", mu=0), start, 9, 0.1), descend(Plain(), start, 9, 0.1))


def test_a_parameter_without_a_gradient_is_left_alone() -> None:
    still, start = nn.Parameter(torch.ones(2)), torch.zeros(2)
    on_gradient = FedProx(name="fedprox").before_round({MODEL: [start]}, {}, {})
    assert on_gradient is not None
    on_gradient([still])
    assert still.grad is None


@pytest.mark.parametrize(
    ("said", "expected"), [("plain", Plain()), ("fedprox", FedProx(name="fedprox")), ({"name": "plain"}, Plain())]
)
def test_a_local_method_is_named_in_the_settings(said: object, expected: object) -> None:
    assert parse(SITES | {"local_method": said}, "test").local_method == expected


@pytest.mark.parametrize(
    "said", ["fedmagic", {"name": "plain", "mu": 1}, {"name": "fedprox", "mu": -1}, {"name": "fedprox", "mu": "inf"}, 3]
)
def test_an_unknown_local_method_or_setting_is_refused(said: object) -> None:
    with pytest.raises(FedmolError, match="local_method"):
        parse(SITES | {"local_method": said}, "test")


def test_all_sites_must_agree_on_the_local_method() -> None:
    one, other = (parse(SITES | {"local_method": {"name": "fedprox", "mu": mu}}, "test") for mu in (0.1, 0.2))
    assert settings_differences(shared_settings(one), shared_settings(other)) == [
        "local_method.mu is 0.2, the federation has 0.1"
    ]
