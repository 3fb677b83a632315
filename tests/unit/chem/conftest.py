"""Molecules to test on: QM9 where it lies at hand, the embedded ones everywhere."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from fedmol.data.embedded import embedded
from fedmol.data.molecule_files import read_table


@pytest.fixture(scope="session")
def ten_thousand() -> list[str]:
    """10,000 random molecules of QM9, or all embedded ones where there is no QM9."""
    beside = Path(__file__).resolve().parents[4] / "shared" / "data"
    for folder in (os.environ.get("FEDMOL_DATA"), beside):
        path = Path(folder or "") / "qm9.csv.gz"
        if folder and path.exists():
            return random.Random(1).sample(read_table(path).smiles, 10_000)
    return list(embedded())
