"""What reading molecules takes, and what becomes of every row: `python -m benchmarks.reading`."""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

import click

from benchmarks import origin
from benchmarks.reading import measure, page
from fedmol.data.embedded import embedded
from fedmol.data.molecule_files import read_table
from fedmol.data.sources import write_table
from fedmol.errors import Exit, FedmolError
from fedmol.runtime import call

EMBEDDED = "embedded"
VOCABULARIES = {"qm9": "qm9-charged", "muv": "drug", "moses": "drug", EMBEDDED: "qm9-charged"}
WHOLE, NUMBER = ("qm9", "muv", "moses"), 10_000


def _file(source: str, data: Path | None, folder: Path) -> Path:
    if source == EMBEDDED:
        write_table(folder / "embedded.csv", embedded())
        return folder / "embedded.csv"
    if data is None:
        raise FedmolError(Exit.USAGE, f"there is no folder with {source}", "name it with --data or FEDMOL_DATA")
    return data / f"{source}.csv.gz"


@click.command()
@click.option(
    "--data", type=click.Path(path_type=Path), envvar="FEDMOL_DATA", help="folder of qm9.csv.gz, muv.csv.gz, ..."
)
@click.option(
    "--source", "chosen", type=click.Choice(list(VOCABULARIES)), multiple=True, default=WHOLE, show_default=True
)
@click.option(
    "--number", default=NUMBER, show_default=True, type=click.IntRange(min=1), help="molecules, for each dialect"
)
@click.option("--out", default=origin.ROOT / "docs/results", type=click.Path(path_type=Path))
def main(data: Path | None, chosen: tuple[str, ...], number: int, out: Path) -> None:
    """Read whole sources, and molecules of the first of them in every dialect."""
    commit = origin.commit(clean=out == origin.ROOT / "docs/results")
    figures: page.Figures = {}
    with tempfile.TemporaryDirectory() as folder:
        files = {source: _file(source, data, Path(folder)) for source in chosen}
        for source, path in files.items():
            figures |= measure.source(source, path, VOCABULARIES[source])
        smiles = read_table(files[chosen[0]]).smiles
        molecules = random.Random(0).sample(smiles, min(number, len(smiles)))
        figures |= measure.dialects(molecules, VOCABULARIES[chosen[0]])
    options = [] if chosen == WHOLE else [f" --source {source}" for source in chosen]
    options += [] if number == NUMBER else [f" --number {number}"]
    told = {"command": f"python -m benchmarks.reading{''.join(options)}", "commit": commit, "machine": origin.machine()}
    page.publish({name: {**figure, **told} for name, figure in figures.items()}, out)


if __name__ == "__main__":
    sys.exit(call(main, sys.argv[1:], "benchmarks.reading"))
