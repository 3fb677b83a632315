"""Fuzz uploads, messages, stored state and given files for a while:

python -m tests.fuzz --minutes 60
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

from tests.fuzz.fuzzers import FUZZERS
from tests.fuzz.target import reference


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    said = parser.parse_args()
    expected, until, seed = reference(), time.monotonic() + 60 * said.minutes, said.seed
    tried = dict.fromkeys(FUZZERS, 0)
    while time.monotonic() < until:
        for name, fuzz in FUZZERS.items():
            with tempfile.TemporaryDirectory() as folder:
                try:
                    tried[name] += fuzz(Path(folder) / "run", random.Random(seed), expected)
                except BaseException:
                    print(f"found in {name} with --seed {seed}", flush=True)
                    raise
        seed += 1
        if seed % 20 == 0:
            print(f"{_said(tried)}: nothing found", flush=True)
    print(f"{_said(tried)} in {said.minutes:g} minutes: nothing found")


def _said(tried: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in tried.items())


if __name__ == "__main__":
    main()
