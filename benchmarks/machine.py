"""What the machine is, and what it can do at best."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.clock import Clock, Spread, alternate, rates, repeated

_TELLING_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16", "asimd", "sve", "bf16")
_MATRIX = {"cpu": 2048, "cuda": 8192}  # rows of the square matrices
_ARRAY = 64 * 2**20  # bytes, more than most caches hold


@dataclass(frozen=True)
class Machine:
    """What decides about speed."""

    processor: str
    flags: list[str]
    cores: int
    threads: int
    load: float  # mean number of running processes in the minute before
    gpu: str | None
    torch: str
    python: str
    system: str


@dataclass(frozen=True)
class Ceilings:
    """Best rates of this machine: 10^9 floating-point operations, and 10^9 bytes read and written, per second."""

    gemm_float32: Spread
    gemm_bfloat16: Spread
    memory_in_place: Spread
    memory_fresh: Spread  # each result in newly allocated memory, as eager torch does

    @property
    def gemm(self) -> float:
        """The faster of the two, as operations per second."""
        return 1e9 * max(self.gemm_float32.median, self.gemm_bfloat16.median)


def describe(device: torch.device) -> Machine:
    """This machine, as far as it can be known."""
    facts = _cpu_facts()
    present = set(facts.get("flags", facts.get("Features", "")).split())
    return Machine(
        processor=facts.get("model name") or platform.processor() or platform.machine(),
        flags=[flag for flag in _TELLING_FLAGS if flag in present],
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        load=os.getloadavg()[0],
        gpu=torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        torch=torch.__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
    )


def _cpu_facts() -> dict[str, str]:
    """The first processor's lines of /proc/cpuinfo; nothing where there is none."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().split("\n\n")[0].splitlines() if path.exists() else []
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def ceilings(device: torch.device, clock: Clock, rounds: int, turn: float) -> Ceilings:
    """Measured with large matrices and arrays."""
    n = _MATRIX[device.type]
    full = torch.randn(n, n, device=device)
    half = full.bfloat16()
    array = torch.ones(_ARRAY // 4, device=device)
    works = {
        "full": repeated(lambda: full @ full),
        "half": repeated(lambda: half @ half),
        "place": repeated(lambda: array.mul_(1.0)),
        "fresh": repeated(lambda: array * 1.0),
    }
    amounts = {"full": 2 * n**3, "half": 2 * n**3, "place": 2 * _ARRAY, "fresh": 2 * _ARRAY}
    seconds = alternate(clock, works, rounds, turn)
    return Ceilings(*(rates(seconds[name], amounts[name] / 1e9) for name in works))
