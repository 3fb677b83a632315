"""Molecules per second of training and of sampling, beside the baseline's in the same rounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from torch.utils.flop_counter import FlopCounterMode

from benchmarks.clock import Clock, Spread, alternate, rates, ratios, repeated
from benchmarks.contenders import BASELINE, Contender, Plain, Preset

FULL_STEPS = 500  # of the reference's sampler


@dataclass(frozen=True)
class Speed:
    """Molecules per second of the clock, and the baseline's time divided by this one's."""

    rate: Spread
    ratio: Spread


@dataclass(frozen=True)
class TrainingSpeed(Speed):
    megaflop: float  # counted in the matrix products of a training step, per molecule
    share_of_peak: float  # of the machine's fastest matrix products


def training(
    contenders: Mapping[str, Contender], clock: Clock, batch: int, rounds: int, turn: float, peak: float
) -> dict[str, TrainingSpeed]:
    """Whole steps: taking a batch, noise, features, loss, gradients and the optimiser. `peak` in operations/s."""
    seconds = alternate(clock, {name: contender.train for name, contender in contenders.items()}, rounds, turn)
    speeds = {}
    for name, contender in contenders.items():
        operations = _operations(contender) / batch
        rate = rates(seconds[name], batch)
        share = operations * rate.median / peak
        speeds[name] = TrainingSpeed(rate, ratios(seconds[BASELINE], seconds[name]), operations / 1e6, share)
    return speeds


def sampling_in_full(
    contenders: Mapping[str, Contender], clock: Clock, molecules: int, steps: int, rounds: int, turn: float
) -> dict[str, Speed]:
    """Ancestral sampling in 500 steps, reckoned from about `steps` of them: each costs one call of the network."""
    calls = {name: _calls(contender, molecules, steps) for name, contender in contenders.items()}
    works = {
        name: repeated(partial(contender.sample_steps, molecules, steps)) for name, contender in contenders.items()
    }
    seconds = alternate(clock, works, rounds, turn)
    whole = {name: [elapsed * FULL_STEPS / calls[name] for elapsed in seconds[name]] for name in contenders}
    return {name: Speed(rates(whole[name], molecules), ratios(whole[BASELINE], whole[name])) for name in contenders}


def sampling_by_default(
    baseline: Plain, presets: Mapping[str, Preset], clock: Clock, molecules: int, steps: int, rounds: int
) -> dict[str, Speed]:
    """fedmol's default sampler, run to its end, beside the baseline's 500 steps reckoned from `steps` of them."""
    works = {name: repeated(partial(preset.sample_default, molecules)) for name, preset in presets.items()}
    works[BASELINE] = repeated(partial(baseline.sample_steps, molecules, steps))
    seconds = alternate(clock, works, rounds, turn=0)
    whole = [elapsed * FULL_STEPS / steps for elapsed in seconds.pop(BASELINE)]
    return {name: Speed(rates(taken, molecules), ratios(whole, taken)) for name, taken in seconds.items()}


def _operations(contender: Contender) -> int:
    with FlopCounterMode(display=False) as counter:
        contender.train(1)
    operations: int = counter.get_total_flops()
    return operations


def _calls(contender: Contender, molecules: int, steps: int) -> int:
    """How often the network is called for about `steps` reverse steps."""
    calls = []
    hook = contender.denoiser.register_forward_hook(lambda *_: calls.append(1))
    contender.sample_steps(molecules, steps)
    hook.remove()
    return len(calls)
