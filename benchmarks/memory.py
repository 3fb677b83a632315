"""Peak memory of training, each contender in a process of its own: `python -m benchmarks.memory NAME BATCH ...`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import torch

from benchmarks.contenders import contender
from benchmarks.stock import load_graphs, noise_of

_STEPS = 3  # the optimiser has its state after the first
_STATUS = Path("/proc/self/status")


def peak_of_training(name: str, batch: int, device: torch.device, graphs: Path) -> int | None:
    """Bytes that training takes at its peak above what the imports take; None where it cannot be measured."""
    if device.type == "cpu" and not _STATUS.exists():
        return None
    command = [sys.executable, "-m", "benchmarks.memory", name, str(batch), str(device), str(graphs)]
    command.append(str(torch.get_num_threads()))
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main(name: str, batch: int, device: torch.device, path: Path) -> int:
    """The peak of this very process."""
    graphs = load_graphs(path)
    floor = _resident("VmRSS") if device.type == "cpu" else 0
    contender(name, graphs, noise_of(graphs), batch, device).train(_STEPS)
    peak = _resident("VmHWM") if device.type == "cpu" else torch.cuda.max_memory_allocated(device)
    return peak - floor


def _resident(field: str) -> int:
    """VmRSS is what the process has in memory now, VmHWM the most it ever had. (ru_maxrss also knows its parent's.)"""
    found = re.search(rf"^{field}:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    assert found, f"no {field} in {_STATUS}"
    return int(found[1]) * 1024


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[5]))
    print(main(sys.argv[1], int(sys.argv[2]), torch.device(sys.argv[3]), Path(sys.argv[4])))
