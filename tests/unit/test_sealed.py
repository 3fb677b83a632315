from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from fedmol import sealed
from fedmol.errors import Exit, FedmolError

ARRAYS = {"model": np.arange(1000, dtype=np.float32), "step": np.array(3), "mask": np.array([True, False])}
META = {"round": 7, "name": "0" * 64}
LARGEST = 2**20


def test_what_was_saved_comes_back_and_any_reader_of_safetensors_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    sealed.save(path, ARRAYS, META)
    arrays, meta = sealed.load(path, LARGEST)
    assert meta == META
    for found in (arrays, load_file(path)):
        assert found.keys() == ARRAYS.keys()
        assert all(
            np.array_equal(found[name], ARRAYS[name]) and found[name].dtype == ARRAYS[name].dtype for name in found
        )
    assert path.stat().st_mode & 0o777 == 0o600


def test_arrays_on_the_file_are_those_that_were_saved_and_it_keeps_them(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    sealed.save(path, {**ARRAYS, "none": np.zeros((0, 2), np.int16)}, META)
    content = path.read_bytes()
    tensors, meta = sealed.mapped(path, LARGEST)
    assert meta == META
    assert all(np.array_equal(tensors[name].numpy(), ARRAYS[name]) for name in ARRAYS)
    assert all(tensor.data_ptr() % tensor.element_size() == 0 for tensor in tensors.values())
    tensors["model"][:] = 1
    assert path.read_bytes() == content


@pytest.mark.parametrize("opened", [sealed.load, sealed.mapped])
def test_what_is_used_is_what_was_checked_whatever_stands_there_by_then(
    opened: Callable[[Path, int], tuple[Any, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, check = tmp_path / "state.safetensors", sealed._check
    sealed.save(path, ARRAYS, META)

    def checked_and_replaced(file: BinaryIO) -> None:
        check(file)
        sealed.save(path, {"model": np.zeros(1000, np.float32)}, {"round": 8})

    monkeypatch.setattr(sealed, "_check", checked_and_replaced)
    arrays, meta = opened(path, LARGEST)
    assert meta == META
    assert np.array_equal(np.asarray(arrays["model"]), ARRAYS["model"])


def test_equal_contents_make_equal_files(tmp_path: Path) -> None:
    sealed.save(tmp_path / "a", ARRAYS, META)
    sealed.save(tmp_path / "b", dict(reversed(ARRAYS.items())), dict(reversed(META.items())))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sealed") / "state"
    sealed.save(path, ARRAYS, META)
    return path.read_bytes()


@settings(deadline=None)
@given(data=st.data())
def test_any_damage_is_named(content: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        kind, at = data.draw(st.sampled_from(["flip", "cut", "insert"])), data.draw(st.integers(0, len(content) - 1))
        if kind == "flip" and at < len(damaged):
            damaged[at] ^= data.draw(st.integers(1, 255))
        elif kind == "cut":
            del damaged[at:]
        else:
            damaged[at:at] = data.draw(st.binary(min_size=1, max_size=20))
    path = tmp_path_factory.mktemp("damaged") / "state"
    path.write_bytes(damaged)
    if damaged != content:
        for read in (sealed.load, sealed.mapped):
            with pytest.raises(FedmolError, match=str(path)) as caught:
                read(path, LARGEST)
            assert caught.value.exit is Exit.STATE_UNUSABLE


@pytest.mark.parametrize("content", [b"", b"\0" * 8, b"\xff" * 100, b"[" * 5000])
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state"
    path.write_bytes(content)
    with pytest.raises(FedmolError, match=str(path)):
        sealed.load(path, LARGEST)


def test_a_missing_or_too_large_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state"
    with pytest.raises(FedmolError, match="No such file"):
        sealed.load(path, LARGEST)
    path.write_bytes(content)
    with pytest.raises(FedmolError, match="bytes"):
        sealed.load(path, len(content) - 1)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "state.safetensors"
    make(path)
    with pytest.raises(FedmolError) as refused:
        sealed.load(path, 2**20)
    assert refused.value.exit is Exit.STATE_UNUSABLE


def test_what_is_said_of_the_arrays_is_of_bounded_depth(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    deep: list[object] = []
    for _ in range(100):
        deep = [deep]
    sealed.save(path, {"a": np.zeros(1)}, {"deep": deep})
    with pytest.raises(FedmolError, match="deep"):
        sealed.load(path, 2**20)
