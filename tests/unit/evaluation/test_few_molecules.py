"""Few molecules, or none, or such as no figure is for: every figure says what it is of, and what is left out."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from rdkit import Chem

from fedmol.cli.main import run
from fedmol.data.embedded import embedded

REAL = list(embedded()[:120])
PEPTIDE = Chem.MolToSmiles(Chem.MolFromSequence("ACDEFGHIKLMNPQRSTVWY" * 5), isomericSmiles=False)  # 836 heavy atoms


@pytest.mark.parametrize(
    ("molecules", "said"),
    [
        (
            ["garbage", "c1ccc"],
            ["2 rows", "none to count", "distances and resemblance", "left out: 0 valid molecules and 100 test"],
        ),
        (["CCO"], ["1 row\n", "20.65% - 100.00%", "the resemblance", "left out: 1 valid molecule and 100 test"]),
        (["CCO", "CCN"], ["34.24% - 100.00%", "none to compare", "FCD is left out", "2 valid molecules against 100"]),
        (REAL[100:108], ["67.56% - 100.00%", "8 valid molecules against 100 test molecules", "FCD is left out"]),
        ([*REAL[100:108], "C[Si](C)C"], ["the distances are those of 8 of 9 valid molecules"]),
        (["C[Si](C)C", "C[Si](C)CC"], ["distances to the test molecules left out: none of 2 valid molecules fits"]),
        (["CCO"] * 9, ["8 repeat a molecule", "1 / 9"]),
        ([*REAL[100:104], PEPTIDE], ["the distances are those of 4 of 5", "5 valid molecules against 100"]),
        ([*REAL[100:104], "C" * 1001], ["4 valid molecules", "1: too large to be looked at (more than 1,000 heavy"]),
    ],
)
def test_what_a_figure_leaves_out_is_said(
    molecules: list[str], said: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subject, test, out, page = (tmp_path / name for name in ("subject.smi", "test.smi", "out.json", "page.html"))
    subject.write_text("\n".join(molecules) + "\n")
    test.write_text("\n".join(REAL[:100]) + "\n")
    assert run(["evaluate", str(subject), "--test", str(test), "--out", str(out), "--html", str(page)]) == 0
    shown = " ".join(capsys.readouterr().out.split(" ")) + "\n"
    for what in said:
        assert re.sub(r"\s+", " ", what).strip() in re.sub(r"\s+", " ", shown)
    written = json.loads(out.read_text(), parse_constant=_no_json)
    assert written["samples"] == len(molecules)
    for text in (shown, re.sub(r"<(style|script).*?</\1>|<[^>]+>", " ", page.read_text(), flags=re.S)):
        assert not re.search(r"\b(nan|NaN|inf|Infinity|None(?! of the))\b", text)


def _no_json(constant: str) -> None:
    raise AssertionError(constant)
