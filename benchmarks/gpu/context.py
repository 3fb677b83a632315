"""What every stage is given: the device, the molecules, the record, the size of the run, and its time."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Generator

from benchmarks.gpu.molecules import Molecules
from benchmarks.gpu.record import Record
from fedmol.errors import FedmolError
from fedmol.execution import EAGER, NAMES, Execution, execution_named
from fedmol.models import Denoiser, build
from fedmol.training import (
    Optimizers,
    TrainedModel,
    TrainingConfig,
    TrainingReport,
    build_optimizer,
    load_model,
    train,
)
from fedmol.zoo import shipped

SEED = 3  # of all trainings


@dataclass(frozen=True)
class Size:
    """How much of everything: a whole run on a GPU, or a small one that shows that all stages work."""

    parity_batch: int
    sampled: int  # molecules whose distributions are compared, device against processor
    batches: tuple[int, ...]
    measuring_seconds: float  # of one speed of training
    sampling_batches: tuple[int, ...]
    sampling_count: int  # molecules in one measurement of that speed
    training_seconds: float
    chunk_seconds: float  # of that training, after which its speed is measured and its model saved
    test: int  # molecules for the NLL
    samples: int


WHOLE = Size(
    256, 512, (1024, 4096, 2048, 512, 8192, 128), 0.7, (4096, 16384, 1024), 32_768, 300.0, 30.0, 13_380, 10_000
)
SMALL = Size(16, 32, (16, 8), 0.1, (8, 4, 2), 16, 4.0, 2.0, 64, 48)


def cause(error: BaseException) -> str:
    """The first of a chain of errors and where it arose: of a failed capture, torch raises but the last."""
    while (earlier := error.__cause__ or error.__context__) is not None:
        error = earlier
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return " ".join(f"{type(error).__name__}: {error}".split())[:500] + place


@dataclass(frozen=True)
class Context:
    """What a stage is given. Stages share nothing but the folder."""

    device: torch.device
    molecules: Molecules
    record: Record
    folder: Path
    small: bool
    seconds: float  # time limit of the stage
    began: float = field(default_factory=time.monotonic)

    @property
    def size(self) -> Size:
        return SMALL if self.small else WHOLE

    @property
    def left(self) -> float:
        """Seconds that the stage still has."""
        return self.seconds - (time.monotonic() - self.began)

    def attempt(self, what: str, measure: Callable[..., None], *arguments: object) -> bool:
        """Measure, and say whether that succeeded; what fails is in the record, and the stage goes on."""
        try:
            measure(self, *arguments)
        except torch.cuda.OutOfMemoryError:
            self.skip(what, "out of memory")
            return False
        except Exception as error:
            traceback.print_exc()
            self.record.add("failed", what=what, error=cause(error), good=False)
            return False
        finally:
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
        return True

    def skip(self, what: str, why: str) -> None:
        self.record.add("skipped", what=what, why=why)

    def fresh(self, preset: str, device: torch.device | None = None) -> Denoiser:
        """An untrained denoiser of the preset, of one layer in a small run; equal weights in every call."""
        types = self.molecules.atom_types, self.molecules.bond_types, self.molecules.max_atoms
        return build(preset, *types, seed=0, layers=1 if self.small else None).to(device or self.device)

    def trained(self, device: torch.device | None = None) -> TrainedModel:
        """The model that comes with fedmol."""
        return load_model(shipped()).to(device or self.device)

    def generator(self, seed: int, device: torch.device | None = None) -> Generator:
        return Generator(device or self.device).manual_seed(seed)

    def train(
        self,
        denoiser: Denoiser,
        config: TrainingConfig,
        steps: int,
        *,
        first: int = 0,
        total: int | None = None,
        optimizer: Optimizers | None = None,
        execution: Execution = EAGER,
        **more: Any,
    ) -> TrainingReport:
        """So many steps on the training molecules; `total` ends the schedule, with these steps where it is left out."""
        return train(
            denoiser,
            optimizer or build_optimizer(denoiser, config),
            self.molecules.noise.to(self.device),
            self.molecules.training.to(self.device),
            first_step=first,
            steps=steps,
            total_steps=total or first + steps,
            config=config,
            generator=torch.Generator().manual_seed(SEED),
            execution=execution,
            **more,
        )

    def available_executions(self) -> list[str]:
        """The names of those that this machine has."""
        return [name for name in NAMES if self.lacks(name) is None]

    def lacks(self, execution: str) -> str | None:
        """Why the execution cannot be had here; None if it can."""
        try:
            execution_named(execution, self.device)
        except FedmolError as error:
            return error.message
        return None
