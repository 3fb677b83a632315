"""SCAFFOLD with real processes: control variates that are at site and server come through every disturbance."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from safetensors.numpy import load_file

from fedmol.errors import Exit
from fedmol.fl.federation import Settings
from fedmol.fl.payload import CONTROL, MODEL, Vector
from fedmol.telemetry.events.round_events import RoundFinished, RoundOpened, UpdateSent
from tests.support.stage import AGGREGATOR, Stage, small_settings

ROUNDS = 3
SITE = "fedmol_collaborator.site_training:SiteTraining"


def settings(**changes: object) -> Settings:
    return small_settings(strategy="scaffold", local_method="scaffold", **changes)


def _round(run: Stage, round: int) -> dict[str, Vector]:
    return load_file(run.folder / AGGREGATOR / "rounds" / f"round-{round:04d}.safetensors")


def _kept(run: Stage, site: str, round: int) -> dict[str, Vector]:
    return load_file(run.folder / "sites" / site / "state" / f"round-{round:04d}.safetensors")


@pytest.fixture(scope="module")
def scaffold(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The small federation with SCAFFOLD, run to its end without any disturbance."""
    run = Stage(settings(), tmp_path_factory.mktemp("scaffold") / "run")
    run.start()
    assert {name: run.wait(name) for name in run.parties} == dict.fromkeys(run.parties, 0), run.log(AGGREGATOR)
    yield run
    run.close()


def test_the_server_s_control_variate_is_the_weighted_mean_of_the_sites_own(scaffold: Stage) -> None:
    shares = scaffold.events(RoundFinished)[-1].body.shares
    assert set(shares) == set(scaffold.sites)
    own = {site: _kept(scaffold, site, ROUNDS)[f"kept.{CONTROL}"] for site in scaffold.sites}
    mean = sum(np.float64(shares[site]) * own[site] for site in scaffold.sites)
    found = _round(scaffold, ROUNDS)[CONTROL]
    np.testing.assert_allclose(found, mean, rtol=0, atol=1e-5 * np.abs(mean).max())
    assert np.linalg.norm(own["west"] - found) > 0.01 * np.linalg.norm(found)


def test_what_is_sent_and_what_a_round_starts_from_is_logged_by_section(scaffold: Stage) -> None:
    for event in scaffold.events(UpdateSent, "west"):
        assert [tensor.name for tensor in event.body.tensors] == [MODEL, CONTROL]
    opened, finished = scaffold.events(RoundOpened, "west"), scaffold.events(RoundFinished)
    for after, before in zip(opened[1:], finished, strict=False):
        said = before.body
        assert after.body.digests == {MODEL: said.model_digest, **said.digests}


def test_it_is_another_model_than_that_of_plain_averaging(scaffold: Stage, undisturbed: Stage) -> None:
    assert _round(scaffold, 1)[MODEL].tobytes() == undisturbed.checkpoint(1).tobytes()  # all control variates are 0
    assert _round(scaffold, 2)[MODEL].tobytes() != undisturbed.checkpoint(2).tobytes()


@pytest.mark.parametrize(
    ("party", "target", "when", "nth", "number"),
    [
        ("west", f"{SITE}._show", "after", 6, "SIGTERM"),  # in the middle of round 2, kept
        ("west", f"{SITE}.train", "after", 2, "SIGKILL"),  # round 2 is trained, and not sent
        ("west", f"{SITE}.train", "before", 3, "SIGKILL"),  # round 2 counts, and the site may not know
        (AGGREGATOR, "fedmol.fl.checkpoints:Checkpoints.save", "after", 2, "SIGKILL"),  # round 2 is kept, not logged
        (AGGREGATOR, "fedmol.fl.checkpoints:Checkpoints.save", "after", 3, "SIGKILL"),  # the last one is
    ],
)
def test_a_kill_changes_neither_model_nor_control_variates(
    scaffold: Stage,
    stage: Callable[[Settings], Stage],
    party: str,
    target: str,
    when: str,
    nth: int,
    number: str,
) -> None:
    run = stage(settings())
    run.start(*(name for name in run.parties if name != party))
    run.crash(party, target, when, nth, number)
    assert run.wait(party) in (Exit.TERMINATED, -signal.SIGKILL)
    run.start(party)
    assert {name: run.wait(name) for name in run.parties} == dict.fromkeys(run.parties, 0), run.log(party)
    for name, vector in _round(scaffold, ROUNDS).items():
        assert _round(run, ROUNDS)[name].tobytes() == vector.tobytes(), name
    for site in run.sites:
        for name, vector in _kept(scaffold, site, ROUNDS).items():
            assert _kept(run, site, ROUNDS)[name].tobytes() == vector.tobytes(), (site, name)


def test_a_site_that_lost_its_state_is_refused_by_name(stage: Callable[[Settings], Stage]) -> None:
    """It would add its control variate a second time to the server's."""
    run = stage(settings())
    run.start(AGGREGATOR, "model")
    run.crash("west", f"{SITE}.train", "before", 2, "SIGKILL")
    assert run.wait("west") == -signal.SIGKILL
    for path in (run.folder / "sites" / "west" / "state").iterdir():
        path.unlink()
    run.start("west")
    assert run.wait("west") == Exit.STATE_UNUSABLE
    assert "round-0001.safetensors is missing" in run.log("west")
