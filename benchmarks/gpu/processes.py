"""Two processes with one batch between them: on two GPUs as `fedmol train --processes 2` has them, or on one.

NCCL is said to refuse two processes on one GPU. Whether it does is found out; gloo, which takes the way over the
host's memory, then shows that the training itself is right.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from benchmarks.gpu.context import SEED, Context, cause
from benchmarks.gpu.parity import difference
from fedmol.training import Trainer, TrainingConfig, build_optimizer, flatten
from fedmol.training.ranks import ALONE, Ranks

_STEPS = 5
_LIMIT = 40.0  # seconds that both processes may take


def run(context: Context) -> None:
    """The stage."""
    alone = torch.from_numpy(_trained(context, ALONE))
    if context.device.type == "cuda" and torch.cuda.device_count() > 1:
        _say(context, "two GPUs, nccl", alone, torch.from_numpy(_by_a_team(context)))
        return
    backends = ["gloo", "nccl"] if context.device.type == "cuda" else ["gloo"]
    with ThreadPoolExecutor() as pool:
        outcomes = list(pool.map(lambda backend: _on_one_device(context, backend), backends))
    for backend, outcome in zip(backends, outcomes, strict=True):
        what = f"two processes on one device, {backend}"
        if isinstance(outcome, str):
            context.skip(what, outcome)
        else:
            _say(context, what, alone, outcome)


def _say(context: Context, what: str, alone: torch.Tensor, together: torch.Tensor) -> None:
    error, bound = difference(together, alone), 0.02
    context.record.add("processes", what=what, weights=error, bound=bound, good=error < bound)


def _trained(context: Context, ranks: Ranks) -> Any:
    denoiser, config = context.fresh("small"), TrainingConfig("adamw", context.size.parity_batch)
    denoiser.exact = True
    context.train(denoiser, config, _STEPS, ranks=ranks)
    return flatten(denoiser)


def _by_a_team(context: Context) -> Any:
    denoiser, config = context.fresh("small"), TrainingConfig("adamw", context.size.parity_batch)
    denoiser.exact = True
    noise, graphs = context.molecules.noise, context.molecules.training
    with Trainer(denoiser, noise, graphs, config, context.device, processes=2) as trainer:
        optimizer, generator = build_optimizer(trainer.denoiser, config), torch.Generator().manual_seed(SEED)
        trainer.train(optimizer, first_step=0, steps=_STEPS, total_steps=_STEPS, generator=generator)
        return flatten(trainer.denoiser)


def _on_one_device(context: Context, backend: str) -> torch.Tensor | str:
    """The weights that two processes of the backend come to, or why they do not."""
    spawning = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        results = spawning.Queue()
        arguments = context, backend, Path(folder) / "meeting", results
        workers = [spawning.Process(target=_work, args=(rank, *arguments), daemon=True) for rank in range(2)]
        for worker in workers:
            worker.start()
        try:
            outcome = results.get(timeout=min(_LIMIT, max(5.0, context.left)))
        except Exception as error:  # nothing came
            outcome = f"no answer: {type(error).__name__}"
        for worker in workers:
            worker.join(5)
            worker.kill()
    return outcome if isinstance(outcome, str) else torch.from_numpy(outcome)


def _work(rank: int, context: Context, backend: str, meeting: Path, results: Any) -> None:
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    os.environ.setdefault("NCCL_SOCKET_IFNAME", "lo")
    try:
        distributed.init_process_group(backend, init_method=meeting.as_uri(), rank=rank, world_size=2)
        trained = _trained(context, Ranks(rank, 2))
        if rank == 0:
            results.put(trained)
    except Exception as error:
        results.put(cause(error))
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()
