"""One training in one or several processes: this one, which keeps all state, and workers that are told what to do.

Each process has its own GPU, or its share of the processor. They talk over the loopback interface and meet through a
file, so that no port is open to others. Workers keep nothing: whatever becomes of them, the training can be taken up
from what this process has saved.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import wait
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Generator, distributed

from fedmol import worker_processes
from fedmol.diffusion import NoiseModel
from fedmol.errors import Exit, FedmolError
from fedmol.execution import EAGER, Execution
from fedmol.models import Denoiser
from fedmol.ragged import AnyGraphs
from fedmol.training.config import TrainingConfig
from fedmol.training.learning_rate import Extension
from fedmol.training.local_round import LocalRound
from fedmol.training.loop import StepReport, TrainingReport, train
from fedmol.training.optimizers import Optimizers, build_optimizer
from fedmol.training.parameter_vector import flatten, manifest, unflatten_into
from fedmol.training.ranks import ALONE, Ranks
from fedmol.training.sealed_tensors import load_optimizer_tensors, optimizer_tensors

_HOST = torch.device("cpu")
_FOR_EVER = timedelta(days=365)  # between two rounds workers wait as long as it takes; a dead peer is noticed at once
_GRACE = 30.0  # seconds for a lost worker to be noticed by what waits for it


class Trainer:
    """Trains `denoiser` on `graphs`, both moved to `device`, by `processes` processes with one batch between them.

    Used as a context: the workers run while it lasts. What comes out is that of a single process, up to the order of
    summation (and dropout).

    Raises:
        FedmolError: BAD_SETTINGS when there are more processes than molecules in a batch.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        noise: NoiseModel,
        graphs: AnyGraphs,
        config: TrainingConfig,
        device: torch.device = _HOST,
        processes: int = 1,
        execution: Execution = EAGER,
    ) -> None:
        if processes > config.batch_size:
            raise FedmolError(
                Exit.BAD_SETTINGS,
                f"a batch of {config.batch_size} cannot be divided between {processes} processes",
                "set training.processes to at most training.batch_size",
            )
        self.denoiser, self.noise, self.graphs, self.config = denoiser, noise, graphs, config
        self.device, self.ranks = device, ALONE if processes == 1 else Ranks(0, processes)
        self.execution = execution
        self._workers: list[multiprocessing.context.SpawnProcess] = []
        self._over = threading.Event()

    def __enter__(self) -> Trainer:
        if self.ranks.count > 1:
            self._folder = tempfile.TemporaryDirectory()
            self._start_workers()
            _tell((self.denoiser, self.noise, self.graphs, self.config, self.execution))
        self.denoiser.to(self.device)
        self.execution.prepare(self.denoiser)
        self.noise, self.graphs = self.noise.to(self.device), self.graphs.to(self.device)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.ranks.count == 1:
            return
        for worker in self._workers:
            worker.kill()
            worker.join()
        distributed.destroy_process_group()
        self._folder.cleanup()
        self._over.set()

    def train(
        self,
        optimizer: Optimizers,
        *,
        first_step: int,
        steps: int,
        total_steps: int,
        generator: Generator,
        extensions: Sequence[Extension] = (),
        local: LocalRound | None = None,
        on_step: Callable[[StepReport], None] | None = None,
    ) -> TrainingReport:
        """As `fedmol.training.loop.train`. `local` is what the site's local method does in the round.

        Raises:
            FedmolError: DIVERGED; PROCESS_LOST when a worker has died.
        """
        seed = generator.initial_seed()
        task = _Task(first_step, steps, total_steps, tuple(extensions), seed, local)
        try:
            if self.ranks.count > 1:
                state = {name: tensor.cpu() for name, tensor in optimizer_tensors(optimizer).items()}
                _tell((task, flatten(self.denoiser), state))
            return task.do(
                self.denoiser, optimizer, self.noise, self.graphs, self.config, self.ranks, self.execution, on_step
            )
        except RuntimeError:  # torch's, of a connection that was closed
            if wait([worker.sentinel for worker in self._workers], _GRACE if self._workers else 0):
                raise self._lost() from None
            raise

    def _start_workers(self) -> None:
        spawning = multiprocessing.get_context("spawn")
        meeting = Path(self._folder.name) / "meeting"
        for rank in range(1, self.ranks.count):
            arguments = Ranks(rank, self.ranks.count), self.device.type, torch.get_num_threads(), meeting
            worker = spawning.Process(target=_work, args=arguments, name=f"worker {rank}", daemon=True)
            worker_processes.start(worker)
            self._workers.append(worker)
        threading.Thread(target=self._watch, name="workers", daemon=True).start()
        _meet(self.ranks, self.device, meeting)

    def _watch(self) -> None:
        """A GPU waits for ever for a peer that has died: then nobody is left to say it but this thread."""
        wait([worker.sentinel for worker in self._workers])
        if not self._over.wait(_GRACE):
            print(f"error: {self._lost()}", file=sys.stderr, flush=True)
            os._exit(Exit.PROCESS_LOST)

    def _lost(self) -> FedmolError:
        for worker in self._workers:
            worker.join(0.5)  # for its exit code
        codes = {worker.name: worker.exitcode for worker in self._workers if worker.exitcode is not None}
        which = ", ".join(f"{name} (exit code {code})" for name, code in codes.items())
        return FedmolError(
            Exit.PROCESS_LOST,
            f"training lost {which or 'a worker'} of its {self.ranks.count} processes",
            "look for its last words above, and whether memory ran out; started again, the training continues",
        )


@dataclass(frozen=True)
class _Task:
    """What one call of `train` is made of besides what every process has."""

    first_step: int
    steps: int
    total_steps: int
    extensions: tuple[Extension, ...]
    seed: int
    local: LocalRound | None

    def do(
        self,
        denoiser: Denoiser,
        optimizer: Optimizers,
        noise: NoiseModel,
        graphs: AnyGraphs,
        config: TrainingConfig,
        ranks: Ranks,
        execution: Execution,
        on_step: Callable[[StepReport], None] | None = None,
    ) -> TrainingReport:
        return train(
            denoiser,
            optimizer,
            noise,
            graphs,
            first_step=self.first_step,
            steps=self.steps,
            total_steps=self.total_steps,
            extensions=self.extensions,
            config=config,
            generator=Generator().manual_seed(self.seed),
            on_step=on_step,
            on_gradient=None if self.local is None else self.local.begin(denoiser),
            ranks=ranks,
            execution=execution,
        )


def _work(ranks: Ranks, device_type: str, threads: int, meeting: Path) -> None:
    """What a worker does all its life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for rank 0, which ends the workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    device = torch.device(device_type, ranks.rank) if device_type == "cuda" else _HOST
    _meet(ranks, device, meeting)
    denoiser, noise, graphs, config, execution = _hear()
    denoiser.to(device)
    execution.prepare(denoiser)
    noise, graphs, layout = noise.to(device), graphs.to(device), manifest(denoiser)
    optimizer = build_optimizer(denoiser, config)
    while True:
        task, weights, state = _hear()
        unflatten_into(denoiser, weights, layout)
        load_optimizer_tensors(optimizer, state)
        with suppress(FedmolError):  # rank 0 meets the same, and says it
            task.do(denoiser, optimizer, noise, graphs, config, ranks, execution)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(Exit.PROCESS_LOST)


def _meet(ranks: Ranks, device: torch.device, meeting: Path) -> None:
    """Join the process group; in it, objects travel between processors and gradients between devices."""
    loopback = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
    os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = loopback
    backend = "gloo"
    if device.type == "cuda":
        backend = "cpu:gloo,cuda:nccl"
        torch.cuda.set_device(device)
    distributed.init_process_group(
        backend, init_method=meeting.as_uri(), rank=ranks.rank, world_size=ranks.count, timeout=_FOR_EVER
    )


def _tell(message: Any) -> None:
    distributed.broadcast_object_list([message], src=0, device=_HOST)


def _hear() -> Any:
    message = [None]
    distributed.broadcast_object_list(message, src=0, device=_HOST)
    return message[0]
