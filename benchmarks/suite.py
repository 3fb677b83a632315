"""All benchmarks in order."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import torch

from benchmarks import reference_speed as reference
from benchmarks import throughput
from benchmarks.clock import Clock, alternate, rates
from benchmarks.contenders import BASELINE, Contender, Plain, Preset
from benchmarks.machine import ceilings, describe
from benchmarks.memory import peak_of_training
from benchmarks.results import Memory, Results
from benchmarks.stock import Stock, noise_of, save_graphs
from benchmarks.time_to_nll import descent

_REVERSE_STEPS = 2  # of 500, in one turn of the baseline
_PROFILED = 4  # training steps


@dataclass(frozen=True)
class Effort:
    """How much of everything: molecules per training step and per sampling, rounds, seconds in one turn of a round."""

    batch: int
    sampled: int
    rounds: int
    turn: float
    default_rounds: int = 1  # of the default sampler, which always runs to its end
    memory_batch: int = 256
    descent_limit: float = 0.0  # seconds of training towards an NLL; 0: not measured
    descent_looks: int = 40


@dataclass(frozen=True)
class Suite:
    """What is measured, with what, and where. `say` is told what comes next."""

    stock: Stock
    presets: Sequence[str]
    default: str  # the preset whose time to a given NLL is taken
    device: torch.device
    effort: Effort
    say: Callable[[str], None]

    def run(self) -> Results:
        """Everything, one after another."""
        begun, clock = time.monotonic(), Clock(self.device)
        self.say("the machine's own rates")
        results = Results(
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            machine=describe(self.device),
            unit=clock.unit,
            source=self.stock.source,
            batch=self.effort.batch,
            sampled=self.effort.sampled,
            memory_batch=self.effort.memory_batch,
            ceilings=ceilings(self.device, clock, self.effort.rounds, self.effort.turn / 4),
        )
        self._measure_speed(results, clock)
        self._measure_memory(results)
        if self.device.type == "cpu":
            self._check_baseline(results, clock)
        if self.effort.descent_limit:
            self._measure_descents(results, clock)
        results.seconds = time.monotonic() - begun
        return results

    def _measure_speed(self, results: Results, clock: Clock) -> None:
        graphs, effort = self.stock.largest, self.effort
        noise = noise_of(graphs)
        baseline = Plain(graphs, noise, effort.batch, self.device)
        own = {name: Preset(name, graphs, noise, effort.batch, self.device) for name in self.presets}
        contenders: dict[str, Contender] = {BASELINE: baseline, **own}
        self.say("training")
        results.training = throughput.training(
            contenders, clock, effort.batch, effort.rounds, effort.turn, results.ceilings.gemm
        )
        self.say("sampling in 500 steps")
        results.sampling_in_full = throughput.sampling_in_full(
            contenders, clock, effort.sampled, _REVERSE_STEPS, effort.rounds, effort.turn
        )
        self.say("sampling by default")
        results.sampling_by_default = throughput.sampling_by_default(
            baseline, own, clock, effort.sampled, _REVERSE_STEPS, effort.default_rounds
        )

    def _measure_memory(self, results: Results) -> None:
        """Nothing where memory cannot be measured."""
        self.say("memory")
        batch, smaller = self.effort.memory_batch, self.effort.memory_batch // 4
        with tempfile.TemporaryDirectory() as folder:
            save_graphs(path := Path(folder) / "graphs.pt", self.stock.largest)
            first = peak_of_training(BASELINE, smaller, self.device, path)
            peaks = {name: peak_of_training(name, batch, self.device, path) for name in (BASELINE, *self.presets)}
        baseline = peaks[BASELINE]
        if first is None or baseline is None:
            return
        results.baseline_bytes_per_molecule = (baseline - first) / (batch - smaller)
        results.memory = {name: Memory(peak, peak / baseline) for name, peak in peaks.items() if peak is not None}

    def _check_baseline(self, results: Results, clock: Clock) -> None:
        self.say("the baseline beside the reference")
        batch, graphs = min(self.effort.batch, reference.BATCH), self.stock.largest
        baseline = Plain(graphs, noise_of(graphs), batch, self.device)
        seconds = alternate(clock, {BASELINE: baseline.train}, self.effort.rounds, self.effort.turn)[BASELINE]
        results.reference = reference.Check.of(
            rates(seconds, batch),
            reference.matrix_seconds(partial(baseline.train, _PROFILED)) / (_PROFILED * batch),
            results.ceilings,
            results.training[BASELINE].megaflop,
            results.baseline_bytes_per_molecule,
        )

    def _measure_descents(self, results: Results, clock: Clock) -> None:
        """The baseline with its constant learning rate, the preset with a schedule that ends at the limit."""
        graphs, batch, limit = self.stock.training, self.effort.batch, self.effort.descent_limit
        noise, total = noise_of(graphs), round(limit * results.training[self.default].rate.median / batch)
        contenders: dict[str, Contender] = {
            self.default: Preset(self.default, graphs, noise, batch, self.device, total_steps=total),
            BASELINE: Plain(graphs, noise, batch, self.device),
        }
        validation = self.stock.validation.to(self.device)
        for name, contender in contenders.items():
            results.time_to_nll[name] = descent(
                contender,
                noise.to(self.device),
                validation,
                clock,
                limit,
                self.effort.descent_looks,
                partial(self._say_nll, name),
            )

    def _say_nll(self, name: str, seconds: float, value: float) -> None:
        self.say(f"{name}: NLL {value:.1f} after {seconds:.0f} s")
