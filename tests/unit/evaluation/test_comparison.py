from __future__ import annotations

from dataclasses import replace

import pytest

from fedmol.diffusion import Likelihood
from fedmol.evaluation import Evaluation, compare, comparison
from fedmol.evaluation.comparison import Published, Row, comparable
from fedmol.evaluation.quality import Quality, Rate
from fedmol.settings import DataSettings


def evaluation(nll: float | None, valid: int, distinct: int, blocks: tuple[float, ...] = ()) -> Evaluation:
    rates = dict.fromkeys(Quality.__dataclass_fields__, Rate(500, 1000))
    quality = Quality(**{**rates, "validity": Rate(valid, 1000), "uniqueness": Rate(distinct, valid)})
    likelihood = None if nll is None else Likelihood(nll, nll, nll, 0.3, 2048, {})
    return Evaluation("qm9", 1000, 9, 9, 0, 500, 1.0, likelihood, blocks, quality, (), ())


def rows(federated: Evaluation, centralised: Evaluation | None) -> dict[str, Row]:
    return {row.metric: row for row in compare(federated, centralised)}


def test_differences_are_federated_minus_centralised() -> None:
    found = rows(evaluation(70.58, 956, 955), evaluation(68.45, 960, 956))
    assert found["NLL"].difference == pytest.approx(2.13)
    assert found["NLL"].percent == pytest.approx(3.11, abs=0.01)
    assert found["validity"].percent == pytest.approx(-0.4167, abs=1e-3)
    assert found["NLL"].measurable is True
    assert found["validity"].measurable is False  # 0.4 points of 1,000 samples


def test_the_papers_figure_of_each_metric_stands_beside_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    papers = {name: Published(place, place) for place, name in enumerate(("NLL", "validity", "uniqueness", "MAE"))}
    monkeypatch.setattr(comparison, "PUBLISHED", papers)
    found = rows(evaluation(71.0, 950, 940), None)
    assert {name: row.published for name, row in found.items()} == {**papers, "novelty": None}
    assert found["NLL"].federated == 71.0
    assert found["NLL"].difference is None


def test_the_noise_of_a_rate_against_a_known_value() -> None:
    # Newcombe 1998, table II, method 10 for 56/70 - 48/80: 0.0524 to 0.3339
    quality = evaluation(None, 1, 1).quality
    ours, theirs = (
        replace(evaluation(None, 1, 1), quality=replace(quality, validity=rate))
        for rate in (Rate(56, 70), Rate(48, 80))
    )
    assert rows(ours, theirs)["validity"].noise == pytest.approx(0.2 - 0.0524, abs=1e-4)


def test_the_noise_of_nll_is_that_of_the_differences_where_both_saw_the_same_molecules() -> None:
    ours, theirs = evaluation(71.0, 1, 1, (60.0, 71.0, 82.0)), evaluation(70.0, 1, 1, (59.0, 70.5, 80.5))
    assert rows(ours, theirs)["NLL"].noise == pytest.approx(1.96 * 0.5 / 3**0.5)
    assert rows(ours, replace(theirs, seed=1))["NLL"].noise == pytest.approx(1.96 * 0.3 * 2**0.5)


def test_what_was_not_measured_has_no_difference() -> None:
    found = rows(evaluation(None, 0, 0), evaluation(70.0, 0, 0))
    for metric in ("NLL", "uniqueness", "MAE"):
        assert found[metric].federated is None
        assert found[metric].difference is None
        assert found[metric].percent is None
        assert found[metric].measurable is None
    assert found["validity"].percent is None  # nothing can be said in percent of zero


def test_only_the_whole_of_qm9_is_comparable() -> None:
    assert comparable(DataSettings(source="qm9"))
    assert not comparable(DataSettings(source="qm9", limit=1000))
    assert not comparable(DataSettings())
