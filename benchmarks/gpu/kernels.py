"""What the time of a training step goes into: launches, kernels, and the device's waiting for its host."""

from __future__ import annotations

from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu.context import Context
from fedmol.execution import NAMES
from fedmol.training import TrainingConfig, build_optimizer

_STEPS = 4  # the profiler is slow; the fourth one is captured, where steps are
_NEEDED = 4.0  # seconds that a measurement takes
_TOP = 12  # kernels that are named


def run(context: Context) -> None:
    """The stage: preset `base` with the usual batch, eagerly and, where there are graphs, replayed."""
    for name in context.available_executions():
        if NAMES[name].compiled:
            continue
        if context.left < _NEEDED and not context.small:
            context.skip(f"kernels {name}", "no time left")
        else:
            context.attempt(f"kernels {name}", measure, "base", context.size.batches[0], name)


def measure(context: Context, preset: str, batch: int, execution: str) -> None:
    """Kernels and their time per step, which is to be set against the step's own time without a profiler."""
    denoiser, config = context.fresh(preset), TrainingConfig(batch_size=batch)
    optimizer, steps = build_optimizer(denoiser, config), 2 if context.small else _STEPS

    def take_steps(first: int) -> None:
        context.train(denoiser, config, steps, first=first, optimizer=optimizer, execution=NAMES[execution])

    take_steps(0)
    on_gpu = context.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as profiler:
        take_steps(steps)
    wanted = DeviceType.CUDA if on_gpu else DeviceType.CPU
    found = profiler.key_averages()
    averages = [average for average in found if average.device_type == wanted and not average.is_user_annotation]
    averages = [
        average for average in averages if not average.key.startswith("Memcpy HtoD")
    ]  # of the molecules, before the steps
    times = {
        average.key: average.self_device_time_total if on_gpu else average.self_cpu_time_total for average in averages
    }
    total = sum(times.values())
    longest = sorted(times, key=lambda key: times[key], reverse=True)[:_TOP]
    context.record.add(
        "kernels",
        preset=preset,
        batch=batch,
        execution=execution,
        per_step=sum(average.count for average in averages) / steps,
        kernel_milliseconds=total / steps / 1e3,
        shares={key[:90]: times[key] / max(total, 1e-9) for key in longest},
    )
