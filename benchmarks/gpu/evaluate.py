"""After a run: what its molecules are worth, its figures and its page. `make gpu-results RUN=FOLDER`

Figures of a whole run on a GPU go into docs/results; those of any other stay in the run's folder.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu import five_minutes, molecules, page, sampling_speed
from benchmarks.gpu.figures import Evaluation, figures_of
from benchmarks.gpu.molecules import Molecules
from benchmarks.gpu.record import FOLDER, NAME, entries
from fedmol import files
from fedmol.chem import vocabulary as vocabularies
from fedmol.chem.reading import read_graphs
from fedmol.errors import Exit, FedmolError
from fedmol.evaluation import chemnet
from fedmol.evaluation.quality import measure
from fedmol.graphs import Graphs

_FEWEST_FOR_FCD = 2000  # below, it would be mostly chance
_OF_FILES = {five_minutes.FILE: "{}", sampling_speed.FILE: "speed-{}"}  # names of their sets


def main(given: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.evaluate", description="Judge a run of make gpu.")
    parser.add_argument("run", type=Path, nargs="?", help=f"folder of the run (default: the latest in {FOLDER})")
    parser.add_argument("--molecules", type=Path, help="the file of molecules that the run was given")
    asked = parser.parse_args(given)
    try:
        _report(asked.run or _latest(), asked.molecules)
    except FedmolError as error:
        print(f"error: {error}", file=sys.stderr)
        return int(error.exit)
    return 0


def _report(folder: Path, given: Path | None) -> None:
    record = entries(folder)
    run = next((entry for entry in record if entry["kind"] == "run"), None)
    if run is None:
        raise FedmolError(Exit.BAD_DATA, f"{folder / NAME} is not the record of a run", "name the folder of a run")
    source = given or FOLDER / f"{'embedded' if run['small'] else 'qm9'}.safetensors"
    figures = figures_of(record, judge(folder, molecules.load(source)))
    files.write_text(folder / "gpu.json", json.dumps(figures, indent=1, allow_nan=False) + "\n")
    files.write_text(folder / "gpu.md", page.page_of(figures))
    print(f"written: {folder / 'gpu.json'} and gpu.md")
    if run["gpu"] and not run["small"]:
        page.publish({**page.load(), **figures})
        print("written: docs/results/gpu.json, docs/results/gpu.md and the sentence in README.md")
    else:
        print("docs/results is left as it is: this was no whole run on a GPU")


def _latest() -> Path:
    records = sorted(FOLDER.glob(f"*/{NAME}"), key=lambda path: path.stat().st_mtime)
    if not records:
        raise FedmolError(Exit.BAD_DATA, f"there is no run in {FOLDER}", "make one with `make gpu`, or name its folder")
    return records[-1].parent


def judge(folder: Path, real: Molecules) -> Evaluation:
    """The figures of every set of molecules that came back, each with its 95 % interval."""
    types = vocabularies.get(real.vocabulary)
    known = {one.smiles for one in read_graphs(real.training, types) if one.smiles is not None}
    test = [one.smiles for one in read_graphs(real.test, types) if one.smiles is not None]
    reference: Any = None
    judged: dict[str, dict[str, dict[str, float]]] = {}
    for name, graphs in _sets(folder).items():
        readings = read_graphs(graphs, types)
        quality, smiles = measure(readings, known), [one.smiles for one in readings if one.smiles is not None]
        rates = {
            "validity": quality.validity,
            "uniqueness": quality.uniqueness_strict,
            "novelty": quality.novelty_strict,
            "connected": quality.connected,
        }
        judged[name] = {
            key: {"value": rate.share, "low": rate.interval[0], "high": rate.interval[1]}
            for key, rate in rates.items()
            if rate.total
        }
        if len(smiles) >= _FEWEST_FOR_FCD <= len(test):
            reference = _activations(test) if reference is None else reference
            judged[name]["fcd"] = {"value": chemnet.frechet(_activations(smiles), reference)}
        print(f"{name}: " + ", ".join(f"{key} {one['value']:.4f}" for key, one in judged[name].items()), flush=True)
    return judged


def _sets(folder: Path) -> dict[str, Graphs]:
    """All molecules that the run left, by name; a file that a cut has spoilt is left out, and named."""
    found: dict[str, Graphs] = {}
    for file, pattern in _OF_FILES.items():
        if not (folder / file).exists():
            continue
        try:
            sets, _ = molecules.load_graphs(folder / file)
        except FedmolError as error:
            print(f"left out: {error.message}", file=sys.stderr)
            continue
        found |= {pattern.format(name.removeprefix("steps")): graphs for name, graphs in sets.items()}
    return found


def _activations(smiles: Sequence[str]) -> chemnet.Activations:
    return chemnet.activations(smiles, [1] * len(smiles), lambda _: None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
