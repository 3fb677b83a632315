"""The command: `python -m benchmarks.gpu`, or `make gpu`. Nothing but torch, numpy and safetensors is imported."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from benchmarks.gpu import five_minutes, kernels, molecules, parity, processes, sampling_speed, training_speed
from benchmarks.gpu.card import describe
from benchmarks.gpu.record import FOLDER, NAME, Record, entries
from benchmarks.gpu.setting import Setting
from fedmol.errors import Exit, FedmolError


@dataclass(frozen=True)
class Stage:
    """One part of a run, in a process of its own: whatever becomes of it, the others take place."""

    seconds: float  # that it may take, once its process is up
    run: Callable[[Setting], None]


# In the order of what a cut should leave.
STAGES = {
    "parity": Stage(45.0, parity.run),
    "training-speed": Stage(75.0, training_speed.run),
    "kernels": Stage(12.0, kernels.run),
    "sampling-speed": Stage(25.0, sampling_speed.run),
    "five-minutes": Stage(330.0, five_minutes.run),
    "processes": Stage(25.0, processes.run),
}
_GRACE = 30.0  # seconds beyond a stage's time, its process's start included, after which it is ended


def arguments(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description="Measure fedmol on a GPU.")
    parser.add_argument("--out", type=Path, help=f"folder of the run (default {FOLDER}/, named by the time)")
    parser.add_argument(
        "--molecules", type=Path, help=f"file of encoded molecules (default {FOLDER}/SOURCE.safetensors)"
    )
    parser.add_argument("--small", action="store_true", help="a minute of everything, on embedded molecules")
    parser.add_argument(
        "--device", choices=["cuda", "cpu"], help="the GPU, or with --small the processor if there is none"
    )
    parser.add_argument(
        "--stages", nargs="+", choices=list(STAGES), default=list(STAGES), help="some of the stages only"
    )
    parser.add_argument("--commit", help="of the code, where this is no checkout")
    parser.add_argument("--one-stage", choices=list(STAGES), help=argparse.SUPPRESS)
    return parser.parse_args(given)


def main(given: list[str]) -> int:
    """All stages, each in a process of its own; the exit code is that of the worst of them."""
    asked = arguments(given)
    asked.out = asked.out or FOLDER / f"{datetime.now():%Y%m%d-%H%M%S}"
    try:
        device = _device(asked.device, asked.small)
        if asked.one_stage:
            return _one_stage(asked, device)
        return _all_stages(asked, device)
    except FedmolError as error:
        print(f"error: {error}", file=sys.stderr)
        return int(error.exit)


def _device(name: str | None, small: bool) -> torch.device:
    if name is None and small and not torch.cuda.is_available():
        name = "cpu"
    if name == "cpu" and small:
        return torch.device("cpu")
    if name == "cpu" or not torch.cuda.is_available():
        reason = "a whole run is for a GPU" if name == "cpu" else "torch sees no GPU here"
        raise FedmolError(Exit.BAD_SETTINGS, reason, "run it on a machine with one, or take --small")
    return torch.device("cuda:0")


def _all_stages(asked: argparse.Namespace, device: torch.device) -> int:
    _molecules(asked)
    if (asked.out / NAME).exists():
        raise FedmolError(
            Exit.USAGE, f"{asked.out} holds the record of another run", "name another folder with --out, or remove it"
        )
    record = Record(asked.out)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    command = "make gpu ARGS=--small" if asked.small else "make gpu"
    record.add(
        "run", started=started, small=asked.small, command=command, commit=asked.commit or _commit(), **describe(device)
    )
    worst = 0
    for name in asked.stages:
        began = time.monotonic()
        code, ended = _in_its_process(name, asked, device)
        record.add("stage", name=name, seconds=time.monotonic() - began, ended=ended)
        worst = worst or code
    wrong = [entry for entry in entries(asked.out) if entry.get("good") is False]
    for entry in wrong:
        print(f"wrong: {entry}", file=sys.stderr)
    print(f"written: {record.path}; next: make gpu-results RUN={asked.out}")
    return worst or int(bool(wrong))


def _in_its_process(name: str, asked: argparse.Namespace, device: torch.device) -> tuple[int, str]:
    """The exit code of the stage, and how it ended in words. Whatever it started ends with it."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--one-stage", name, "--out", str(asked.out)]
    command += ["--molecules", str(_molecules_path(asked)), "--device", device.type, *(["--small"] * asked.small)]
    limit = STAGES[name].seconds + _GRACE
    process = subprocess.Popen(command, start_new_session=True)
    try:
        code = process.wait(limit)
        return code, "done" if code == 0 else f"failed with exit code {code}"
    except subprocess.TimeoutExpired:
        return 1, f"ended after {limit:.0f} s"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _one_stage(asked: argparse.Namespace, device: torch.device) -> int:
    torch.set_num_threads(1)  # more of them make small tensors slower
    stage, graphs = STAGES[asked.one_stage], molecules.load(asked.molecules)
    stage.run(Setting(device, graphs, Record(asked.out), asked.out, asked.small, stage.seconds))
    return 0


def _molecules_path(asked: argparse.Namespace) -> Path:
    given: Path | None = asked.molecules
    return given or FOLDER / f"{'embedded' if asked.small else 'qm9'}.safetensors"


def _molecules(asked: argparse.Namespace) -> None:
    """Encode the molecules where there is no file of them yet."""
    path = _molecules_path(asked)
    if not path.exists() and asked.molecules is None:
        molecules.save(path, molecules.encode(path.stem))
    molecules.load(path)


def _commit() -> str | None:
    told = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return told.stdout.strip() or None if told.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
