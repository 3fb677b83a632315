"""docs/results/reading.md, made from docs/results/reading.json."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.reading.dialects import BAD, DIALECTS
from fedmol import files, formats

DATA, PAGE = "reading.json", "reading.md"
DIALECT = "dialect"

Figures = dict[str, dict[str, Any]]


def publish(figures: Figures, folder: Path) -> None:
    """Write the figures, and the page that quotes them."""
    files.write_text(folder / DATA, json.dumps(figures, indent=1, allow_nan=False) + "\n")
    files.write_text(folder / PAGE, render(figures))


def render(figures: Figures) -> str:
    """The page."""
    sources = sorted({name.split("/")[0] for name in figures} - {DIALECT})
    commands, commits, machines = (
        ", ".join(sorted({figure[key][:most] for figure in figures.values()}))
        for key, most in (("command", None), ("commit", 7), ("machine", None))
    )
    return f"""# Reading molecules

Made by `{commands}` at {commits}, on {machines}.

## Whole sources

Every row is kept, a duplicate, rejected or blank; the command fails if they do not add up to the rows read.

| source, vocabulary | rows read | kept | duplicates | rejected | blank |
| --- | ---: | ---: | ---: | ---: | ---: |
{"".join(_accounts(figures, sources))}{"".join(_reasons(figures, sources))}
Each source is read by a process of its own, which starts one worker for each core, and is opened once more from its
cache by another process. Time begins when the program is loaded. Memory is the sum of the peaks of the resident sets
of the process and of all that it started, each at its own time, so that the machine never held more than that;
libraries that they share count once for each.

| source | time | of the processor | rows/s | peak memory | from the cache: time | peak memory |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
{"".join(_costs(figures, sources))}
## The same rows in every dialect

{_dialect_rows(figures)} rows: molecules of one source, and among them rows that are no molecule of the vocabulary
({", ".join(f"`{text}`" for text in BAD)}), blank rows, and molecules once more. Each form has to have the same rows in
each column, and the same molecules in the end. A Parquet cell without a value is no blank row but is
rejected as empty. "To text" is reading the file up to the SMILES of each row; "to graphs" is that and everything after
it, in one process.

| form | written by | size | kept | duplicates | rejected | blank | rows/s to text | rows/s to graphs |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
{"".join(_dialects(figures))}"""


def _cells(rows: dict[str, Any]) -> str:
    numbers = rows["kept"], rows["duplicates"], sum(rows["rejected"].values()), rows["blank"]
    return " | ".join(map(formats.count, numbers))


def _accounts(figures: Figures, sources: list[str]) -> Iterator[str]:
    for source in sources:
        rows, vocabulary = figures[f"{source}/rows"], figures[f"{source}/vocabulary"]["value"]
        yield f"| {source}, {vocabulary} | {formats.count(rows['value'])} | {_cells(rows)} |\n"


def _reasons(figures: Figures, sources: list[str]) -> Iterator[str]:
    rejected = [(source, *figure) for source in sources for figure in figures[f"{source}/rows"]["rejected"].items()]
    if rejected:
        yield "\n| source | rejected for | rows |\n| --- | --- | ---: |\n"
    for source, reason, count in rejected:
        yield f"| {source} | {reason} | {formats.count(count)} |\n"


def _costs(figures: Figures, sources: list[str]) -> Iterator[str]:
    names = "seconds", "processor_seconds", "molecules_a_second", "peak_bytes"
    for source in sources:
        seconds, processor, rate, peak = (figures[f"{source}/{name}"]["value"] for name in names)
        again, peak_again = (figures[f"{source}/{name}_from_cache"]["value"] for name in ("seconds", "peak_bytes"))
        first = f"{formats.duration(seconds)} | {formats.duration(processor)} | {formats.count(rate)}"
        then = f"{formats.fixed(again)} s | {formats.size(peak_again)}"
        yield f"| {source} | {first} | {formats.size(peak)} | {then} |\n"


def _dialect_rows(figures: Figures) -> str:
    return formats.count(max(figures[f"{DIALECT}/{name}/rows"]["value"] for name in DIALECTS))


def _dialects(figures: Figures) -> Iterator[str]:
    for name, dialect in DIALECTS.items():
        rows, size, rate, to_text = (
            figures[f"{DIALECT}/{name}/{what}"]
            for what in ("rows", "bytes", "rows_a_second", "rows_a_second_without_chemistry")
        )
        rates = f"{formats.count(to_text['value'])} | {formats.count(rate['value'])}"
        yield f"| {name} | {dialect.by} | {formats.size(size['value'])} | {_cells(rows)} | {rates} |\n"
