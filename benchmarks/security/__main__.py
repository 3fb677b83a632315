"""The command: `python -m benchmarks.security`, or `make bench-security`."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path

import click

from benchmarks import origin
from benchmarks.federation.cases import Model
from benchmarks.security import page
from benchmarks.security.attack import IDENTITIES, LOADS
from benchmarks.security.measure import Federation, Trial, trials
from benchmarks.security.noise import NOISE, Noise, noises
from fedmol.runtime import call

_MODEL = Model("5 M", "base", 22)
_TINY = Model("0.3 M", "small", 1)


@click.command("benchmarks.security", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--small", is_flag=True, help="one load, with a tiny model; needs --out")
@click.option("--log-only", is_flag=True, help="how the log grows, and nothing else: the other figures stay")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="folder (docs/results when left out)")
def security(small: bool, log_only: bool, out: Path | None) -> None:
    """What honest uploads feel of attacks, and how the log grows under them: seven minutes."""
    if small and out is None:
        raise click.UsageError("a small run is no result: name a folder for it with --out")
    commit = origin.commit(clean=out is None)
    source = {"command": "make bench-security", "commit": commit, "machine": origin.machine()}
    figures = page.load(out or page.FOLDER) if log_only else {}
    loads = [] if log_only else list(LOADS)[:1] if small else list(LOADS)
    with tempfile.TemporaryDirectory() as folder:
        for trial in trials(Path(folder), _TINY if small else _MODEL, loads, list(IDENTITIES)):
            figures |= {name: {**value, **source} for name, value in _figures(trial).items()}
            click.echo(f"{trial.load}, {trial.identity}: {statistics.median(trial.ratios):.2f}")
        with Federation(Path(folder), "noisy", _TINY) as federation:
            federation.join()
            for noise in noises(federation, Path(folder), 3.0 if small else 80.0, list(NOISE)):
                figures |= {name: {**value, **source} for name, value in _of_noise(noise).items()}
                click.echo(f"{noise.load}: {noise.attempts:.0f} a second, {noise.log / 1e6:.2f} MB of log an hour")
    page.publish(figures, out or page.FOLDER)


def _of_noise(noise: Noise) -> dict[str, dict[str, float]]:
    found = {
        "attempts_a_second": noise.attempts,
        "log_bytes_an_hour": noise.log,
        "stderr_bytes_an_hour": noise.stderr,
        "aggregator_cores": noise.cores,
        "sidecar_bytes": noise.sidecar,
    }
    return {f"log/{noise.load}/{name}": dict.fromkeys(("value", "low", "high"), value) for name, value in found.items()}


def _figures(trial: Trial) -> dict[str, dict[str, float]]:
    name, ratios, peak = f"{trial.load}/{trial.identity}", trial.ratios, trial.attacked.peak_bytes
    return {
        f"{name}/upload_over_control": {
            "value": statistics.median(ratios),
            "low": min(ratios),
            "high": max(ratios),
        },
        f"{name}/control_seconds": {
            "value": statistics.median(trial.control.seconds),
            "low": min(trial.control.seconds),
            "high": max(trial.control.seconds),
        },
        f"{name}/peak_bytes": {"value": peak, "low": peak, "high": peak},
    }


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(call(security, sys.argv[1:], "benchmarks.security"))
