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
from benchmarks.gpu.ending import ended
from benchmarks.gpu.figures import Evaluation, figures_of
from benchmarks.gpu.molecules import Molecules
from benchmarks.gpu.record import FOLDER, NAME, Entry, entries
from fedmol import files
from fedmol.errors import Exit, FedmolError
from fedmol.graphs import Graphs

_FEWEST_FOR_FCD = 2000  # below, it would be mostly chance
_SET_NAMES = {five_minutes.FILE: "{}", sampling_speed.FILE: "speed-{}"}


def main(given: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.evaluate", description="Judge a run of make gpu.")
    parser.add_argument("run", type=Path, nargs="?", help=f"folder of the run (default: the latest in {FOLDER})")
    parser.add_argument("--molecules", type=Path, help="the file of molecules that the run was given, if it has moved")
    asked = parser.parse_args(given)
    return ended(lambda: _evaluate(asked.run or _latest(), asked.molecules))


def _evaluate(folder: Path, given: Path | None) -> int:
    record = entries(folder)
    run = next((entry for entry in record if entry["kind"] == "run"), None)
    if run is None:
        what = f"{folder / NAME} is not the record of a run" if folder.exists() else f"there is no folder {folder}"
        raise FedmolError(Exit.BAD_DATA, what, "name the folder of a run")
    figures = figures_of(record, judge(folder, _molecules_of(run, given)))
    publishing = run.get("gpu") is True and run.get("whole") is True and run["molecules"]["source"] == "qm9"
    note = "" if publishing else "No whole run of QM9 on a GPU: it shows that the stages work, and measures nothing."
    text = page.page_of(figures, note)
    files.write_text(folder / "gpu.json", json.dumps(figures, indent=1, allow_nan=False) + "\n")
    files.write_text(folder / "gpu.md", text)
    print(f"written: {folder / 'gpu.json'} and gpu.md")
    if publishing:
        page.publish(figures)
        print("written: docs/results/gpu.json, docs/results/gpu.md and the sentence in README.md")
    else:
        print("docs/results is left as it is: this was no whole run of QM9 on a GPU")
    return 0


def _molecules_of(run: Entry, given: Path | None) -> Molecules:
    """The molecules that the run was given, known by their digest."""
    try:
        path, expected = given or Path(run["molecules"]["file"]), run["molecules"]["sha256"]
    except (KeyError, TypeError):
        raise FedmolError(Exit.BAD_DATA, "the record does not say which molecules were used", "run it anew") from None
    found = molecules.load(path)
    if molecules.digest(path) != expected:
        raise FedmolError(
            Exit.BAD_DATA, f"{path} is not the file that the run was given", "name that file with --molecules"
        )
    return found


def _latest() -> Path:
    records = sorted(FOLDER.glob(f"*/{NAME}"), key=lambda path: path.stat().st_mtime)
    if not records:
        raise FedmolError(Exit.BAD_DATA, f"there is no run in {FOLDER}", "make one with `make gpu`, or name its folder")
    return records[-1].parent


def judge(folder: Path, real: Molecules) -> Evaluation:
    """The figures of every set of molecules that came back, each with its 95 % interval.

    Raises:
        FedmolError: BAD_DATA without RDKit and the like.
    """
    try:
        from fedmol.chem import vocabulary as vocabularies
        from fedmol.chem.graphs_to_molecules import read_graphs
        from fedmol.evaluation import chemnet
        from fedmol.evaluation.quality import measure
    except ModuleNotFoundError as error:
        raise FedmolError(
            Exit.BAD_DATA,
            f"molecules cannot be judged without the package {error.name}, which is not installed here",
            "bring the folder of the run to a machine where `make venv` works",
        ) from None

    def activations(smiles: Sequence[str]) -> Any:
        return chemnet.activations(smiles, [1] * len(smiles), lambda _: None)

    types = vocabularies.get(real.vocabulary)
    known = {graph.smiles for graph in read_graphs(real.training, types) if graph.smiles is not None}
    test = [graph.smiles for graph in read_graphs(real.test, types) if graph.smiles is not None]
    reference: Any = None
    judged: dict[str, dict[str, dict[str, float]]] = {}
    for name, graphs in _sets(folder, real).items():
        readings = read_graphs(graphs, types)
        quality, smiles = (
            measure(readings, known),
            [reading.smiles for reading in readings if reading.smiles is not None],
        )
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
            reference = activations(test) if reference is None else reference
            judged[name]["fcd"] = {"value": chemnet.frechet(activations(smiles), reference)}
        print(
            f"{name}: " + ", ".join(f"{key} {figure['value']:.4f}" for key, figure in judged[name].items()), flush=True
        )
    return judged


def _sets(folder: Path, real: Molecules) -> dict[str, Graphs]:
    """All molecules that the run left, by name; what a cut has spoilt, or is no molecule, is left out and named."""
    found: dict[str, Graphs] = {}
    for file, pattern in _SET_NAMES.items():
        if not (folder / file).exists():
            continue
        try:
            sets, _ = molecules.load_graphs(folder / file)
        except FedmolError as error:
            print(f"left out: {error.message}", file=sys.stderr)
            continue
        for name in [name for name, graphs in sets.items() if molecules.outside(graphs, real)]:
            print(f"left out: {folder / file}: {name}: {molecules.outside(sets.pop(name), real)}", file=sys.stderr)
        found |= {pattern.format(name): graphs for name, graphs in sets.items()}
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
