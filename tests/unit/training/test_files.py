from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fedmol.chem import vocabulary as vocabularies
from fedmol.diffusion import Census, NoiseModel, sample
from fedmol.errors import Exit, FedmolError
from fedmol.fl.payload import vector_digest
from fedmol.models import build
from fedmol.training import Manifest, flatten, load_model, manifest, save_model, unflatten_into
from fedmol.training.sealed_tensors import load, save

CENSUS = Census(torch.tensor([5, 2, 1, 0]), torch.tensor([8, 6, 2, 2, 0]), torch.tensor([0, 1, 0, 1, 1, 0, 0, 0, 0, 0]))


def test_checkpoint_round_trip(tmp_path: Path) -> None:
    tensors = {"b": torch.rand(3, 2), "a": torch.tensor([1, 2]), "c": torch.tensor(4.0)}
    meta = {"round": 3, "sites": ["é", "b"], "losses": [0.1, None]}
    save(tmp_path / "state.safetensors", tensors, meta)
    found, found_meta = load(tmp_path / "state.safetensors")
    assert found_meta == meta
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    assert [file.name for file in tmp_path.iterdir()] == ["state.safetensors"]


def test_equal_states_give_equal_files(tmp_path: Path) -> None:
    for name in ("first", "second"):
        save(tmp_path / name, build("small", 4, 5, 9, seed=0, layers=1).state_dict(), {"round": 1})
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


@pytest.mark.parametrize("content", [None, b"", b"not safetensors at all", b"\xff" * 64])
def test_an_unreadable_checkpoint_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "state.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FedmolError) as refused:
        load(path)
    assert refused.value.exit is Exit.STATE_UNUSABLE
    with pytest.raises(FedmolError) as refused:
        load_model(path)
    assert refused.value.exit is Exit.BAD_MODEL


def test_a_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    save(path, {"a": torch.rand(100)}, {})
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(FedmolError) as refused:
        load(path)
    assert refused.value.exit is Exit.STATE_UNUSABLE


def test_a_checkpoint_without_a_digest_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    save_file({"a": torch.rand(100)}, path, {"fedmol": "{}"})
    with pytest.raises(FedmolError, match="carries no digest") as refused:
        load(path)
    assert refused.value.exit is Exit.STATE_UNUSABLE


def test_flat_vector_round_trip() -> None:
    first, second = (build("small", 4, 5, 9, seed=seed, layers=1) for seed in (0, 1))
    vector = flatten(first)
    assert vector.dtype == np.float32
    assert vector.shape == (manifest(first).size,)
    unflatten_into(second, vector, manifest(first))
    assert flatten(second).tobytes() == vector.tobytes()
    vector[:] = 0  # a copy, not a view of the weights
    assert flatten(second).any()
    assert flatten(first).any()


def test_manifest_identifies_the_model() -> None:
    own = manifest(build("small", 4, 5, 9, seed=0, layers=1))
    assert Manifest.from_json(own.to_json()) == own
    assert list(own.names) == sorted(own.names)
    assert own.digest == manifest(build("small", 4, 5, 9, seed=9, layers=1)).digest
    assert own.digest != manifest(build("small", 4, 5, 9, seed=0, layers=2)).digest
    assert own.digest != manifest(build("small", 5, 5, 9, seed=0, layers=1)).digest


def test_a_vector_of_another_model_is_refused() -> None:
    one, two = (build("small", 4, 5, 9, seed=0, layers=layers) for layers in (1, 2))
    for vector, expected in [(flatten(two), manifest(two)), (flatten(one)[:-1], manifest(one))]:
        with pytest.raises(FedmolError) as refused:
            unflatten_into(one, vector, expected)
        assert refused.value.exit is Exit.MODEL_DIFFERS


def test_a_model_file_is_all_that_sampling_needs(tmp_path: Path) -> None:
    denoiser = build("small", 4, 5, 9, seed=3, layers=2)
    path = tmp_path / "model.safetensors"
    save_model(
        path,
        denoiser,
        preset="small",
        vocabulary=vocabularies.get("qm9"),
        noise=NoiseModel.from_census(CENSUS),
        meta={"rounds": 4},
    )
    model = load_model(path)
    assert flatten(model.denoiser).tobytes() == flatten(denoiser).tobytes()
    assert (model.preset, model.vocabulary.name, model.meta) == ("small", "qm9", {"rounds": 4})
    assert not model.denoiser.training
    assert model.noise.steps == 500
    assert len(sample(model.denoiser, model.noise, 3, torch.Generator().manual_seed(0), steps=2)) == 3


def _named_by_its_digest(path: Path, precision: torch.dtype = torch.float32) -> None:
    denoiser = build("small", 4, 5, 9, seed=3, layers=1)
    meta = {"digest": vector_digest(flatten(denoiser))}
    save_model(
        path,
        denoiser,
        preset="small",
        vocabulary=vocabularies.get("qm9"),
        noise=NoiseModel.from_census(CENSUS),
        meta=meta,
        precision=precision,
    )


def test_a_model_whose_weights_are_not_those_it_names_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    _named_by_its_digest(path)
    load_model(path)
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(FedmolError, match=f"{path}.*digest") as refused:
        load_model(path)
    assert refused.value.exit is Exit.BAD_MODEL


def test_a_model_rounded_in_its_file_keeps_the_digest_of_the_exact_one(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    _named_by_its_digest(path, torch.bfloat16)
    assert "digest" in load_model(path).meta
