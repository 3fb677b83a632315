"""The command: `python -m benchmarks.gpu`, or `make gpu`. It imports torch, numpy, safetensors and blake3 alone."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import torch

from benchmarks.gpu import molecules
from benchmarks.gpu.card import describe
from benchmarks.gpu.context import Context
from benchmarks.gpu.ending import ended
from benchmarks.gpu.record import FOLDER, NAME, Record, entries
from benchmarks.gpu.stages import RUN_SECONDS, STAGES
from fedmol.errors import Exit, FedmolError

_GRACE = 30.0  # seconds beyond a stage's own after which it is ended; its process starts in them
_SMALL_PATIENCE = 10  # times as long a small run may take, on processors that are busy with other things
_START = 10.0  # seconds that a process may need to start


def arguments(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description="Measure fedmol on a GPU.")
    parser.add_argument("--out", type=Path, help=f"folder of the run (default {FOLDER}/, named by the time)")
    parser.add_argument(
        "--molecules", type=Path, help=f"file of encoded molecules (default {FOLDER}/SOURCE.safetensors)"
    )
    parser.add_argument("--small", action="store_true", help="a minute or two of everything, on embedded molecules")
    parser.add_argument(
        "--device", choices=["cuda", "cpu"], help="the GPU, or with --small the processor if there is none"
    )
    parser.add_argument(
        "--stages", nargs="+", choices=list(STAGES), default=list(STAGES), help="some of the stages only"
    )
    parser.add_argument("--commit", help="of the code, where this is no checkout")
    parser.add_argument("--one-stage", choices=list(STAGES), help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    return parser.parse_args(given)


def main(given: list[str]) -> int:
    """All stages, each in a process of its own; the exit code is that of the worst of them."""
    asked = arguments(given)
    asked.out = asked.out or FOLDER / f"{datetime.now():%Y%m%d-%H%M%S}"
    asked.molecules = asked.molecules or FOLDER / f"{'embedded' if asked.small else 'qm9'}.safetensors"
    return ended(lambda: _one_stage(asked) if asked.one_stage else _all_stages(asked))


def _device(name: str | None, small: bool) -> torch.device:
    if name == "cpu" and not small:
        raise FedmolError(Exit.USAGE, "a whole run is for a GPU", "leave out --device, or add --small (ARGS=--small)")
    if torch.cuda.is_available() and name != "cpu":
        return torch.device("cuda:0")
    if name == "cuda" or not small:
        other = "leave out --device" if small else "add --small (ARGS=--small)"
        raise FedmolError(Exit.BAD_SETTINGS, "torch sees no GPU here", f"run it on a machine with one, or {other}")
    return torch.device("cpu")


def _all_stages(asked: argparse.Namespace) -> int:
    device = _device(asked.device, asked.small)
    if not asked.molecules.exists() and asked.molecules.parent == FOLDER and asked.molecules.stem in molecules.SOURCES:
        molecules.save(asked.molecules, molecules.encode(asked.molecules.stem))
    graphs = molecules.load(asked.molecules)
    if (asked.out / NAME).exists():
        raise FedmolError(
            Exit.USAGE, f"{asked.out} holds the record of another run", "name another folder with --out, or remove it"
        )
    record = Record(asked.out)
    record.add(
        "run",
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        small=asked.small,
        whole=not asked.small and asked.stages == list(STAGES),
        command="make gpu ARGS=--small" if asked.small else "make gpu",
        commit=asked.commit or _commit(),
        molecules={"file": str(asked.molecules), "sha256": molecules.digest(asked.molecules), "source": graphs.source},
        **describe(device),
    )
    patience = _SMALL_PATIENCE if asked.small else 1
    worst, end = 0, time.monotonic() + patience * RUN_SECONDS
    for place, name in enumerate(asked.stages):
        began = time.monotonic()
        later = sum(STAGES[stage].seconds for stage in asked.stages[place + 1 :])
        limit = max(0.0, min(patience * (STAGES[name].seconds + _GRACE), end - began - later))
        code, ended = _in_its_process(name, asked, device, limit)
        record.add("stage", name=name, seconds=time.monotonic() - began, ended=ended)
        worst = worst or int(code != 0)
    wrong = [entry for entry in entries(asked.out) if entry.get("good") is False]
    for entry in wrong:
        print(f"wrong: {entry}", file=sys.stderr)
    print(f"written: {record.path}; next: make gpu-results RUN={asked.out}")
    return worst or int(bool(wrong))


def _in_its_process(name: str, asked: argparse.Namespace, device: torch.device, limit: float) -> tuple[int, str]:
    """The exit code of the stage, and how it ended in words. Whatever it started ends with it."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--one-stage", name, "--out", str(asked.out)]
    command += ["--molecules", str(asked.molecules), "--device", device.type, *(["--small"] * asked.small)]
    command += ["--seconds", str(min(STAGES[name].seconds, limit - _START))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, process_group=0) as process:
        try:
            code = process.wait(limit)
            return code, "done" if code == 0 else f"failed with exit code {code}"
        except subprocess.TimeoutExpired:
            return 1, f"ended after {limit:.0f} s"
        finally:
            with suppress(ProcessLookupError):  # nothing is left of it
                os.killpg(process.pid, signal.SIGKILL)


def _one_stage(asked: argparse.Namespace) -> int:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)  # more of them make small tensors slower
    device, graphs = _device(asked.device, asked.small), molecules.load(asked.molecules)
    record = Record(asked.out, asked.one_stage)
    STAGES[asked.one_stage].run(Context(device, graphs, record, asked.out, asked.small, asked.seconds))
    return 0


def _end_with_parent() -> None:
    """Standard input ends when the parent does, however it does; then so does this process group."""
    sys.stdin.read()
    os.killpg(0, signal.SIGKILL)


def _commit() -> str | None:
    if shutil.which("git") is None:
        return None
    told = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return told.stdout.strip() or None if told.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
