"""Which device and how many processes an installation has, with and without GPUs."""

from __future__ import annotations

import pytest
import torch

from fedmol.errors import Exit, FedmolError
from fedmol.training.device import device_named, processes_on, threads_set

CPU, CUDA = torch.device("cpu"), torch.device("cuda:0")


def _gpus(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


@pytest.mark.parametrize(("count", "auto"), [(0, CPU), (2, CUDA)])
def test_auto_is_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch, count: int, auto: torch.device) -> None:
    _gpus(monkeypatch, count)
    assert device_named("auto") == auto
    assert device_named("cpu") == CPU


def test_a_gpu_that_there_is_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _gpus(monkeypatch, 0)
    with pytest.raises(FedmolError) as refused:
        device_named("cuda")
    assert refused.value.exit is Exit.BAD_SETTINGS
    _gpus(monkeypatch, 1)
    assert device_named("cuda") == CUDA


def test_one_process_for_each_gpu_and_any_number_on_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    _gpus(monkeypatch, 2)
    assert [processes_on(CUDA, asked) for asked in ("auto", 1, 2)] == [2, 1, 2]
    assert [processes_on(CPU, asked) for asked in ("auto", 8)] == [1, 8]
    with pytest.raises(FedmolError, match="3 training processes for 2 GPUs") as refused:
        processes_on(CUDA, 3)
    assert refused.value.exit is Exit.BAD_SETTINGS


def test_threads_are_as_many_as_before_afterwards() -> None:
    before = torch.get_num_threads()

    def fails() -> None:
        with threads_set(before + 1):
            assert torch.get_num_threads() == before + 1
            raise ValueError("meant")

    with pytest.raises(ValueError, match="meant"):
        fails()
    assert torch.get_num_threads() == before
