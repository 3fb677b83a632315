"""SCAFFOLD, server and sites together: the paper's algorithm, what it is for, and that nothing disturbs it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fedmol.errors import Exit, FedmolError
from fedmol.fl.federation import parse
from fedmol.fl.local_methods import Kept, LocalMethod, Plain, holding
from fedmol.fl.local_methods.scaffold import Scaffold
from fedmol.fl.payload import CONTROL, MODEL
from fedmol.fl.strategies import FedAvg
from fedmol.fl.strategies.scaffold import Scaffold as ServerScaffold
from fedmol.training.muon import Muon
from tests.support.in_memory import Build, Federation
from tests.support.quadratic import SIZE, Site

MOLECULES = {"a": 10, "b": 30, "c": 60}
SHARES = {"a": 0.1, "b": 0.3, "c": 0.6}
STEPS, RATE = 5, 0.05
WHO = ["abc", "bc", "abc", "ac", "b", "ab", "abc", "c", "abc", "abc"]  # reports in which round

SERVER, LOCAL = ServerScaffold(name="scaffold"), Scaffold(name="scaffold")
OPTIMIZERS = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=RATE),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.1),
    "muon": lambda parameters: Muon([p for p in parameters if p.ndim == 2], lr=RATE, iterations=5),
}


def _federation(federation: Build, **terms: object) -> Federation:
    given: dict[str, object] = {"strategy": SERVER, "parameters": SIZE, "quorum": 1, "norm_ratio": 1e6, "rounds": 400}
    return federation(MOLECULES, **given | terms)


def _sites(optimizer: str = "sgd", method: LocalMethod = LOCAL) -> dict[str, Site]:
    return {name: Site(seed, method, OPTIMIZERS[optimizer], STEPS) for seed, name in enumerate("abc")}


def _send(one: Federation, site: str, round: int, sections: Mapping[str, NDArray[np.float32]]) -> None:
    others = {name: vector for name, vector in sections.items() if name != MODEL}
    one.report(site, round, sections[MODEL], **others)


def _play(one: Federation, sites: Mapping[str, Site], who: Collection[str]) -> None:
    for name in who:
        _send(one, name, one.engine.round, sites[name].train(one, name))
    _close(one)


def _close(one: Federation) -> None:
    while not one.engine.tick(0.001):
        pass


class Paper:
    """Algorithm 1 with option II, in float64: weights by molecules in the place of 1 / |S| and 1 / N."""

    def __init__(self, start: NDArray[np.float32], sites: Mapping[str, Site]) -> None:
        self.x, self.c, self.sites = start.astype(np.float64), np.zeros(SIZE), sites
        self.own = {name: np.zeros(SIZE) for name in sites}

    def play(self, who: Collection[str]) -> None:
        moved, changed = np.zeros(SIZE), np.zeros(SIZE)
        for name in who:
            y = self.x
            for _ in range(STEPS):
                y = y - RATE * (self.sites[name].form.gradient(y) - self.own[name] + self.c)
            after = self.own[name] - self.c + (self.x - y) / (STEPS * RATE)
            moved += SHARES[name] / sum(SHARES[one] for one in who) * (y - self.x)
            changed += SHARES[name] * (after - self.own[name])
            self.own[name] = after
        self.x, self.c = self.x + moved, self.c + changed


def test_with_sgd_it_is_algorithm_1_of_the_paper(federation: Build) -> None:
    one, sites = _federation(federation), _sites()
    paper = Paper(one.initial, _sites())
    for who in WHO:
        _play(one, sites, who)
        paper.play(who)
        np.testing.assert_allclose(one.model, paper.x, rtol=0, atol=2e-6)
        np.testing.assert_allclose(one.engine.sections[CONTROL], paper.c, rtol=0, atol=2e-6)
    for name, site in sites.items():
        np.testing.assert_allclose(site.kept(one, name).vectors[CONTROL], paper.own[name], rtol=0, atol=2e-6)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_with_other_optimisers_a_site_keeps_the_mean_of_its_gradients(federation: Build, optimizer: str) -> None:
    one, sites = _federation(federation), _sites(optimizer)
    own = {name: np.zeros(SIZE, np.float32) for name in sites}
    for who in WHO:
        entering, expected = dict(one.engine.sections), {}
        for name in who:
            expected[name] = _by_hand(_sites(optimizer)[name], entering, own[name])
        _play(one, sites, who)
        for name, (model, mean) in expected.items():
            own[name] = mean
            np.testing.assert_allclose(sites[name].kept(one, name).vectors[CONTROL], mean, rtol=0, atol=1e-6)
            if who == name:
                np.testing.assert_allclose(one.model, model, rtol=0, atol=1e-6)
        weighted = sum(SHARES[name] * own[name] for name in sites)
        np.testing.assert_allclose(one.engine.sections[CONTROL], weighted, rtol=0, atol=1e-5)


def _by_hand(
    site: Site, entering: Mapping[str, NDArray[np.float32]], own: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The site's model and control variate after a round, as fedmol.fl.local_methods.scaffold defines them."""
    matrix, vector = torch.nn.Parameter(torch.zeros(2, 4)), torch.nn.Parameter(torch.zeros(4))
    with torch.no_grad():
        matrix.copy_(torch.from_numpy(entering[MODEL][:8].reshape(2, 4)))
        vector.copy_(torch.from_numpy(entering[MODEL][8:]))
    optimizer, gradients = site.optimizer([vector, matrix]), []
    for _ in range(site.steps):
        w = torch.cat([matrix.detach().flatten(), vector.detach()]).numpy()
        gradients.append(site.form.gradient(w.astype(np.float64)))
        corrected = torch.from_numpy(gradients[-1] - own + entering[CONTROL]).float()
        matrix.grad, vector.grad = corrected[:8].view(2, 4), corrected[8:].clone()
        optimizer.step()
    model = torch.cat([matrix.detach().flatten(), vector.detach()]).numpy()
    return model, np.mean(gradients, axis=0).astype(np.float32)


def test_it_converges_where_averaging_drifts(federation: Build) -> None:
    """Unlike sites: federated averaging ends where their local steps balance, not where the objective is least."""
    forms = {name: site.form for name, site in _sites().items()}
    curvature = sum(SHARES[name] * form.curvature for name, form in forms.items())
    best = np.linalg.solve(curvature, sum(SHARES[n] * form.curvature @ form.optimum for n, form in forms.items()))
    off = {}
    for strategy, method in ((FedAvg(), Plain()), (SERVER, LOCAL)):
        one, sites = _federation(federation, strategy=strategy), _sites(method=method)
        for round in range(300):
            _play(one, sites, "abc" if round % 3 else "bc")
        off[strategy.name] = np.linalg.norm(one.model - best) / np.linalg.norm(best)
    assert off["scaffold"] < 1e-3
    assert off["fedavg"] > 30 * off["scaffold"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_late_arrivals_and_restarts_leave_what_the_counted_updates_make(federation: Build, optimizer: str) -> None:
    """Sites that did not count in a round train in the disturbed run all the same, and send too late or never."""
    plain, disturbed = _federation(federation), _federation(federation)
    quiet, busy = _sites(optimizer), _sites(optimizer)
    for round, who in enumerate(WHO, start=1):
        _play(plain, quiet, who)
        trained = {}
        for name in "cab":  # whoever is first
            broken_off = round % STEPS if name == "b" else None
            busy[name].train(disturbed, name)
            disturbed.restart()
            trained[name] = busy[name].train(disturbed, name, broken_off)  # again, as after a kill
        for name in who:
            _send(disturbed, name, round, trained[name])
            disturbed.restart()
            _send(disturbed, name, round, trained[name])  # the first answer was lost
        _close(disturbed)
        disturbed.restart()
        for name in set("abc") - set(who):
            _send(disturbed, name, round, trained[name])
        assert disturbed.content == plain.content, round
    for name in "abc":
        ours, theirs = busy[name].kept(disturbed, name), quiet[name].kept(plain, name)
        assert ours.round == theirs.round
        assert ours.vectors[CONTROL].tobytes() == theirs.vectors[CONTROL].tobytes()


def test_where_members_change_sites_begin_anew_with_the_server(federation: Build) -> None:
    one, sites = _federation(federation), _sites()
    _play(one, sites, "abc")
    one.molecules["a"] = 50
    _play(one, sites, "bc")
    assert not one.engine.sections[CONTROL].any()
    assert {name: site.kept(one, name) for name, site in sites.items()} == dict.fromkeys("abc", Kept())
    _play(one, sites, "bc")
    assert sites["a"].kept(one, "a") == Kept()
    for name, share in (("b", 30 / 140), ("c", 60 / 140)):
        one.engine.sections[CONTROL][:] -= np.float32(share) * sites[name].kept(one, name).vectors[CONTROL]
    np.testing.assert_allclose(one.engine.sections[CONTROL], 0, atol=1e-6)


def test_which_of_two_states_holds() -> None:
    after, before = Kept({}, 5), Kept({}, 2)
    assert holding(5, 1, (after, before)) is after
    assert holding(2, 1, (after, before)) is before
    assert holding(None, 1, (after, Kept())) == Kept()
    assert holding(5, 6, (after, before)) == Kept()
    for last_counted in (1, 3, 9):
        with pytest.raises(FedmolError, match=f"update of round {last_counted} counted") as caught:
            holding(last_counted, 1, (after, before))
        assert caught.value.exit is Exit.STATE_UNUSABLE
    with pytest.raises(FedmolError, match="round 2 counted"):
        holding(2, 1, ())  # the folder is lost


@pytest.mark.parametrize(
    "said",
    [{"strategy": "scaffold"}, {"local_method": "scaffold"}, {"strategy": "scaffold", "local_method": "fedprox"}],
)
def test_one_half_of_it_is_refused(said: dict[str, str]) -> None:
    with pytest.raises(FedmolError, match="strategy: scaffold and local_method: scaffold") as caught:
        parse({"sites": [{"name": "a"}], **said}, "test")
    assert caught.value.exit is Exit.BAD_SETTINGS


def test_both_halves_are_named_in_the_settings() -> None:
    settings = parse({"sites": [{"name": "a"}], "strategy": "scaffold", "local_method": "scaffold"}, "test")
    assert (settings.strategy, settings.local_method) == (SERVER, LOCAL)
