"""Some of the runs of `make soak`: disturbed at random from joining to farewell, and right in the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.soak.play import play


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 4])
def test_a_run_that_is_disturbed_at_random_ends_with_the_model_of_one_that_is_not(seed: int, tmp_path: Path) -> None:
    undisturbed = tmp_path / "undisturbed"
    assert play(seed, undisturbed, None).failures == []
    played = play(seed, tmp_path / "disturbed", (undisturbed / "aggregator" / "model.safetensors").read_bytes())
    assert played.failures == [], played.happened
    assert len(played.happened) > 2
