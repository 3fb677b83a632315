"""The README's pictures, made by fedmol's own commands; see docs/developer.md.

    fedmol sample -n 100 --out molecules.smi && python -m benchmarks.pictures molecules molecules.smi
    python -m benchmarks.pictures screenshot http://127.0.0.1:8080/ page.png      # a sidecar beside a run
    python -m benchmarks.pictures screenshot runs/ID/report.html report.png

Screenshots need Chromium on the path, and work on pages that show light colours by default.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click
from PIL import Image

from fedmol import files
from fedmol.chem.drawing import svg
from fedmol.errors import Exit, FedmolError
from fedmol.runtime import call

IMAGES = Path(__file__).resolve().parents[1] / "docs/images"
COLUMNS, ROWS, CELL = 6, 3, (172, 132)  # pixels
WINDOW = 1280, 1395  # pixels
COLOURS = 128


@click.group()
def pictures() -> None:
    """Make the README's pictures."""


@pictures.command()
@click.argument("source", type=click.Path(path_type=Path))
def molecules(source: Path) -> None:
    """Draw the first molecules of SOURCE, a .smi file, as they come."""
    smiles = source.read_text().split()[: COLUMNS * ROWS]
    files.write_text(IMAGES / "molecules.svg", sheet(smiles))


def sheet(smiles: list[str]) -> str:
    """An SVG document with a picture of each molecule, in rows."""
    width, height = COLUMNS * CELL[0], ROWS * CELL[1]
    cells = [
        svg(text, CELL).replace("<svg ", f'<svg x="{k % COLUMNS * CELL[0]}" y="{k // COLUMNS * CELL[1]}" ', 1)
        for k, text in enumerate(smiles)
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">',
            f'<rect width="{width}" height="{height}" rx="8" fill="#fbfaf7"/>',
            *cells,
            "</svg>\n",
        ]
    )


@pictures.command()
@click.argument("address")
@click.argument("name")
def screenshot(address: str, name: str) -> None:
    """Save the top of the page at ADDRESS, a URL or a file, as docs/images/NAME."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise FedmolError(Exit.USAGE, "there is no Chromium here", "install it (Debian: apt-get install chromium)")
    url = address if "://" in address else Path(address).resolve().as_uri()
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / name
        size = f"{WINDOW[0]},{WINDOW[1]}"
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        options += ["--hide-scrollbars", "--timeout=6000", f"--user-data-dir={folder}/profile", f"--window-size={size}"]
        subprocess.run([chromium, *options, f"--screenshot={shot}", url], check=True, capture_output=True)
        with Image.open(shot) as taken:
            taken.convert("RGB").quantize(COLOURS).save(IMAGES / name, optimize=True)


if __name__ == "__main__":
    sys.exit(call(pictures, sys.argv[1:], "python -m benchmarks.pictures"))
