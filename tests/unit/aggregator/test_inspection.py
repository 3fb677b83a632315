from __future__ import annotations

import numpy as np
import pytest

from fedmol.errors import Exit, FedmolError
from fedmol.federation.algorithms import Vector
from fedmol_aggregator.inspection import inspect

CURRENT = np.full(100, 0.5, np.float32)  # norm 5


def test_a_sound_update_passes_with_its_norm() -> None:
    update = CURRENT.copy()
    update[0] += 3
    assert inspect("north", CURRENT, update, limit_ratio=10) == pytest.approx(3, abs=1e-6)


@pytest.mark.parametrize(
    ("update", "said"),
    [
        (CURRENT[:-1], "99 weights where the model has 100"),
        (np.where(np.arange(100) < 2, np.nan, CURRENT).astype(np.float32), "2 weights that are not finite"),
        (np.where(np.arange(100) < 1, np.inf, CURRENT).astype(np.float32), "1 weights that are not finite"),
        (CURRENT + 100, "the limit is 50"),
    ],
)
def test_a_bad_update_is_refused_with_the_reason(update: Vector, said: str) -> None:
    with pytest.raises(FedmolError) as caught:
        inspect("north", CURRENT, update, limit_ratio=10)
    assert caught.value.exit is Exit.UPDATE_REFUSED
    assert said in caught.value.message
    assert "north" in caught.value.message
