"""The device, its best rates, and how time is taken on it."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.record import spread

_GIGABYTE = 2**30
_DRIVER = Path("/proc/driver/nvidia/version")


def describe(device: torch.device) -> dict[str, Any]:
    """What decides about the figures."""
    gpu = device.type == "cuda"
    properties = torch.cuda.get_device_properties(device) if gpu else None
    return {
        "device": properties.name if properties else f"{platform.machine()} processor",
        "gpu": gpu,
        "driver": driver() if gpu else None,
        "cuda": torch.version.cuda if gpu else None,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "multiprocessors": properties.multi_processor_count if properties else None,
        "memory_bytes": properties.total_memory if properties else None,
        "system": platform.system(),
    }


def driver() -> str | None:
    """The version of NVIDIA's driver."""
    told = _DRIVER.read_text() if _DRIVER.exists() else ""
    if not told and shutil.which("nvidia-smi"):
        asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        told = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=False).stdout
    found = re.search(r"\d{3,}(\.\d+)+", told)
    return found.group() if found else None


def synchronise(device: torch.device) -> None:
    """Wait until the device has done everything it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(work: Callable[[], object], device: torch.device, repeats: int = 5, calls: int = 1) -> list[float]:
    """Seconds of one call in each of `repeats` measurements of `calls`, after one that is not counted."""
    work()
    taken = []
    for _ in range(repeats):
        synchronise(device)
        began = time.perf_counter()
        for _ in range(calls):
            work()
        synchronise(device)
        taken.append((time.perf_counter() - began) / calls)
    return taken


def ceilings(device: torch.device, small: bool) -> dict[str, dict[str, float]]:
    """Products of random bfloat16 matrices in 10^12 operations a second, and copies in 10^9 bytes read and written."""
    n, size = (256, 2**20) if small else (8192, 2 * _GIGABYTE)
    left, right = (torch.randn(n, n, device=device).bfloat16() for _ in range(2))
    source = torch.ones(size // 4, device=device)
    target = torch.empty_like(source)
    calls = 1 if small else 10
    products = seconds_of(lambda: left @ right, device, calls=calls)
    copies = seconds_of(lambda: target.copy_(source), device, calls=calls)
    return {
        "bfloat16_tflops": spread([2 * n**3 / product / 1e12 for product in products]),
        "copy_gigabytes_per_second": spread([2 * size / copy / 1e9 for copy in copies]),
    }
