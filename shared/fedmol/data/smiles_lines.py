"""SMILES files: one molecule a line, a name after it or not, a header or not."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fedmol.data.delimited import Row

# Neither commas nor semicolons occur in SMILES. A CXSMILES extension changes what the SMILES means, a name does not.
_LINE = re.compile(r'\s*"?(?P<smiles>[^\s,;"]+)"?(?:[\s,;]+(?P<extension>\|[^|]*\|))?')


def rows_of(lines: list[str]) -> Iterator[Row]:
    """One row per line; comments (#) count as blank, and a first line that says `smiles` is a header."""
    header = True
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            yield Row(number, blank=True)
            continue
        found = _LINE.match(line)
        smiles, extension = (found["smiles"], found["extension"]) if found else (line.strip(), None)
        if not (header and "smiles" in smiles.lower()):  # which no SMILES spells
            yield Row(number, f"{smiles} {extension}" if extension else smiles)
        header = False
