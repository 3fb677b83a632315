"""Everything that one run of the benchmarks found, as a document."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.machine import Ceilings, Machine
from benchmarks.reference_speed import Check
from benchmarks.throughput import Speed, TrainingSpeed
from benchmarks.time_to_nll import Descent
from fedmol import files


@dataclass(frozen=True)
class Memory:
    """Peak bytes of training, and their share of the baseline's."""

    peak: int
    share: float


@dataclass
class Results:
    """Figures by contender. Rates are molecules per `unit`; every ratio is to the contender `plain` of the same run."""

    started: str
    machine: Machine
    unit: str
    source: str
    batch: int  # molecules per training step
    sampled: int  # molecules per sampling
    memory_batch: int  # molecules per training step where memory is measured
    ceilings: Ceilings
    seconds: float = 0.0  # the whole run
    training: dict[str, TrainingSpeed] = field(default_factory=dict)
    sampling_in_full: dict[str, Speed] = field(default_factory=dict)
    sampling_by_default: dict[str, Speed] = field(default_factory=dict)
    memory: dict[str, Memory] = field(default_factory=dict)
    baseline_bytes_per_molecule: float | None = None  # what one more molecule in the batch adds to its peak
    reference: Check | None = None
    time_to_nll: dict[str, Descent] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """As JSON, whole or not at all."""
        files.write_text(path, json.dumps({"format": 1, **asdict(self)}, indent=2, allow_nan=False) + "\n")
