from __future__ import annotations

import csv
from pathlib import Path

from fedmol.cli.main import run
from fedmol.models import shipped


def test_the_model_that_comes_along_makes_valid_molecules(tmp_path: Path) -> None:
    out = tmp_path / "molecules.csv"
    assert run(["sample", "-n", "100", "--out", str(out)]) == 0
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 100
    assert sum(row["valid"] == "true" for row in rows) >= 90
    assert len({row["smiles"] for row in rows}) >= 90


def test_it_is_small_and_has_its_card() -> None:
    assert shipped().stat().st_size < 12e6
    card = shipped().with_suffix(".md").read_text()
    for said in ("## Data", "## Training", "## Figures", "## Use", "Apache-2.0", "CC0"):
        assert said in card
