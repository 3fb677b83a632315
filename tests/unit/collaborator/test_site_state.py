from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fedmol.errors import Exit, FedmolError
from fedmol.fl.local_methods import Kept
from fedmol.fl.payload import Vector, vector_digest
from fedmol.training import sealed_tensors
from fedmol_collaborator.site_state import PartialRound, SiteState, TrainedRound


def _vector(value: float) -> Vector:
    return np.full(4, value, np.float32)


def _trained(round: int, model: Vector) -> TrainedRound:
    return TrainedRound(round, vector_digest(model), model + 1, {"step": torch.tensor([float(round)])}, {"loss": 0.5})


def test_a_trained_round_is_found_only_for_the_model_it_started_from(tmp_path: Path) -> None:
    store = SiteState(tmp_path)
    store.save(_trained(1, _vector(0)))
    found = store.trained(1, vector_digest(_vector(0)))
    assert found is not None
    assert found.update.tobytes() == _vector(1).tobytes()
    assert found.metrics == {"loss": 0.5}
    assert store.trained(1, vector_digest(_vector(9))) is None
    assert store.trained(2, vector_digest(_vector(0))) is None


def test_a_round_starts_from_the_optimiser_of_the_one_before_even_when_repeated(tmp_path: Path) -> None:
    store = SiteState(tmp_path)
    assert store.round_before(1) is None
    for round in (1, 2, 3):
        store.save(_trained(round, _vector(round)))
    assert store.round_before(3) == 2
    assert store.ended(2).optimizer["step"].item() == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["round-0002.safetensors", "round-0003.safetensors"]


def test_a_site_that_missed_rounds_goes_on_from_its_latest_state(tmp_path: Path) -> None:
    store = SiteState(tmp_path)
    store.save(_trained(2, _vector(0)))
    assert store.round_before(7) == 2


def test_a_broken_off_round_is_taken_up_only_for_its_own_model(tmp_path: Path) -> None:
    store = SiteState(tmp_path)
    digest = vector_digest(_vector(0))
    store.save_partial(PartialRound(2, digest, 7, _vector(3), {"step": torch.tensor([7.0])}))
    partial = store.partial(2, digest)
    assert partial is not None
    assert (partial.steps, partial.weights[0], partial.optimizer["step"].item()) == (7, 3, 7)
    assert store.partial(2, vector_digest(_vector(1))) is None
    assert store.partial(3, digest) is None


def test_a_finished_round_makes_the_broken_off_one_void(tmp_path: Path) -> None:
    store = SiteState(tmp_path)
    store.save_partial(PartialRound(1, "x", 1, _vector(0), {}))
    store.save(_trained(1, _vector(0)))
    assert store.partial(1, "x") is None


def test_what_a_local_method_keeps_is_kept_with_the_round_that_it_holds_for(tmp_path: Path) -> None:
    store, first = SiteState(tmp_path), _trained(1, _vector(0))
    store.save(replace(first, sections={"control": _vector(5)}, kept={"control": _vector(6)}))
    kept = store.ended(1).states[0]
    assert (kept.round, kept.vectors["control"][0]) == (1, 6)
    assert store.ended(1).states[1] == Kept()
    store.save(replace(_trained(3, _vector(1)), kept={"control": _vector(7)}, before=kept))
    assert [(one.round, one.vectors["control"][0]) for one in store.ended(3).states] == [(3, 7), (1, 6)]
    found = store.trained(1, vector_digest(_vector(0)))
    assert found is not None
    assert {name: vector[0] for name, vector in found.sections.items()} == {"control": 5}


def test_what_had_added_up_is_kept_where_a_round_is_broken_off(tmp_path: Path) -> None:
    store = SiteState(tmp_path)
    store.save_partial(PartialRound(2, "x", 7, _vector(3), {}, {"gradients": _vector(9)}))
    partial = store.partial(2, "x")
    assert partial is not None
    assert partial.sums["gradients"].tobytes() == _vector(9).tobytes()


@pytest.mark.parametrize("at", [0.01, 0.3, 0.9])
def test_a_flipped_bit_anywhere_is_found(tmp_path: Path, at: float) -> None:
    store, digest = SiteState(tmp_path), vector_digest(_vector(0))
    store.save_partial(PartialRound(2, digest, 7, _vector(3), {}))
    store.save(_trained(1, _vector(0)))
    store.save_partial(PartialRound(2, digest, 7, _vector(3), {}))
    for path in (store.partial_path, store.files.path(1)):
        content = bytearray(path.read_bytes())
        content[int(at * len(content))] ^= 4
        path.write_bytes(content)
    for read in (
        lambda: store.partial(2, digest),
        lambda: store.trained(1, digest),
        lambda: store.ended(1),
    ):
        with pytest.raises(FedmolError) as caught:
            read()
        assert caught.value.exit is Exit.STATE_UNUSABLE


def test_a_whole_file_of_another_round_or_kind_is_refused(tmp_path: Path) -> None:
    store = SiteState(tmp_path)
    store.save(_trained(1, _vector(0)))
    store.save_partial(PartialRound(2, "x", 7, _vector(3), {}))
    store.files.path(1).rename(store.files.path(2))
    store.partial_path.rename(store.files.path(3))
    sealed_tensors.save(store.partial_path, {}, {})
    for read in (lambda: store.ended(2), lambda: store.trained(3, "x"), lambda: store.partial(2, "x")):
        with pytest.raises(FedmolError, match=str(tmp_path)) as caught:
            read()
        assert caught.value.exit is Exit.STATE_UNUSABLE
