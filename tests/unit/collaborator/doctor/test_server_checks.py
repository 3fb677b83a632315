"""What follows from the aggregator's answers and from what was measured."""

from __future__ import annotations

from typing import Any

import pytest

from fedmol.fl.federation import Settings, parse
from fedmol.fl.identity import shared_settings
from fedmol.fl.messages import Standing
from fedmol.fl.versions import SEMANTICS
from fedmol.training.assembly import denoiser_of, vocabulary_of
from fedmol.training.parameter_vector import manifest
from fedmol_collaborator.doctor import server_checks
from fedmol_collaborator.doctor.probe_calls import Sounding


def settings(**changes: Any) -> Settings:
    model = {"preset": "small", "layers": 1}
    return parse({"sites": [{"name": "north"}, {"name": "south"}], "model": model, **changes}, "test")


def standing(**changes: Any) -> Standing:
    ours = settings()
    said: dict[str, Any] = {
        "run": "trial-1",
        "time": 1000.0,
        "semantics": SEMANTICS,
        "vocabulary": vocabulary_of(ours).digest(),
        "manifest": manifest(denoiser_of(ours)).digest,
        "payload": "9" * 64,
        "settings": shared_settings(ours),
    }
    return Standing(**{**said, **changes})


def sounding(skew: float, seconds: float) -> Sounding:
    """An answer given halfway, as this machine's clock sees it."""
    return Sounding(standing(), 1000.0 + skew - seconds / 2, seconds)


@pytest.mark.parametrize(
    ("skew", "state"), [(0.0, "ok"), (-20.0, "ok"), (60.0, "warning"), (-60.0, "warning"), (400.0, "failed")]
)
def test_the_clocks_difference(skew: float, state: str) -> None:
    finding = server_checks.clock([sounding(skew + 0.4, 1.0), sounding(skew, 0.02)])
    assert finding.state == state
    assert finding.figures["clock_skew_seconds"] == pytest.approx(skew)  # that of the quickest answer
    assert ("NTP" in finding.cure) == (state != "ok")
    assert ("behind" in finding.found) == (skew <= 0)


def test_a_slow_line_does_not_make_a_wrong_clock() -> None:
    assert server_checks.clock([sounding(35.0, 20.0)]).state == "ok"


@pytest.mark.parametrize(("seconds", "state"), [(0.01, "ok"), (1.5, "warning")])
def test_the_round_trip_is_the_median(seconds: float, state: str) -> None:
    finding = server_checks.round_trip([sounding(0, each) for each in (seconds, 9.0, 0.001)])
    assert finding.state == state
    assert finding.figures["round_trip_seconds"] == seconds


def test_equal_parties() -> None:
    ours = settings()
    assert server_checks.same_versions(standing()).state == "ok"
    assert server_checks.same_model(ours, standing()).state == "ok"
    assert server_checks.same_settings(ours, standing()).state == "ok"


def test_another_run() -> None:
    assert server_checks.same_run(standing(), "trial-1").state == "ok"
    finding = server_checks.same_run(standing(), "trial-2")
    assert (finding.state, finding.found) == ("failed", "the aggregator serves run trial-1, not trial-2")
    assert "--run" in finding.cure


def test_other_semantics() -> None:
    finding = server_checks.same_versions(standing(semantics=SEMANTICS + 1))
    assert (finding.state, f"semantics {SEMANTICS + 1}" in finding.found) == ("failed", True)
    assert f"semantics {SEMANTICS + 1} on both sides" in finding.cure


def test_another_vocabulary_and_another_model() -> None:
    other = server_checks.same_model(settings(), standing(vocabulary="0" * 64))
    assert (other.state, "qm9-charged" in other.cure) == ("failed", True)
    deeper = server_checks.same_model(settings(model={"preset": "small", "layers": 2}), standing())
    assert (deeper.state, "tensors" in deeper.found) == ("failed", True)
    assert deeper.cure


def test_other_settings_are_named() -> None:
    finding = server_checks.same_settings(settings(training={"batch_size": 17}), standing())
    assert finding.state == "failed"
    assert finding.found == "training.batch_size is 17, the federation has 128"
    assert "federation.yaml" in finding.cure


@pytest.mark.parametrize(("deadline", "state"), [(1800, "ok"), (60, "warning"), (30, "failed")])
def test_the_seconds_of_a_round(deadline: float, state: str) -> None:
    ours = settings(training={"local_steps": 100}, rounds={"deadline": deadline})
    size = 4 * manifest(denoiser_of(ours)).size
    finding = server_checks.seconds_per_round(ours, 5 / size, 0.35)
    assert finding.state == state
    assert finding.figures["round_seconds"] == pytest.approx(40)
    assert "35.0 s of training (100 steps), 5.0 s for the model" in finding.found
    assert ("rounds.deadline" in finding.cure) == (state != "ok")


def test_a_budget_sets_the_training_time_of_a_round() -> None:
    ours = settings(training={"rounds": 10, "budget_minutes": 5})
    assert server_checks.seconds_per_round(ours, 0.0, 99.0).figures["training_seconds"] == pytest.approx(30)
