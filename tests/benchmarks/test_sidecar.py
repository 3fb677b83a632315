from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.sidecar import Latency, sidecar


@pytest.mark.slow
def test_every_path_is_asked_while_the_log_grows(tmp_path: Path) -> None:
    arguments = ["--sites", "3", "--rounds", "7", "--seconds", "1", "--pace", "200", "--out", str(tmp_path)]
    CliRunner().invoke(sidecar, arguments, catch_exceptions=False)
    found = json.loads((tmp_path / "sidecar.json").read_text())
    assert {"/", "/metrics", "/v1/status", "/report", "/v1/events"} <= found["latency_ms"].keys()
    assert all(0 < one["p50"] <= one["p99"] <= one["longest"] for one in found["latency_ms"].values())
    assert [one["rounds"] for one in found["memory"]][:5] == [1, 2, 3, 4, 6]
    assert found["memory"][-1]["events"] > found["memory"][-2]["events"] > found["memory"][0]["events"]
    assert all(one["resident"] > 1e6 for one in found["memory"])


@pytest.mark.parametrize(("count", "p50", "p99"), [(1, 1, 1), (2, 1, 2), (100, 50, 99), (1000, 500, 990)])
def test_percentiles_are_values_that_were_measured(count: int, p50: float, p99: float) -> None:
    found = Latency.of([number / 1000 for number in range(count, 0, -1)], 0)
    assert (found.p50, found.p99, found.longest) == pytest.approx((p50, p99, count))
