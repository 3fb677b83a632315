"""What an installation takes: `python -m benchmarks.sizes`.

Of a commit, the library's environment (`pip install ./shared` into a new virtual environment, with the locked CPU build
of torch) and, with --images, both container images. With --before, the figures stand as those of an earlier commit
beside the newer ones. What is not measured anew stays as it was.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from benchmarks import origin
from fedmol import files
from fedmol.runtime import call

COMMAND = "python -m benchmarks.sizes"
BEFORE = "before/"
IMAGES = ("aggregator", "collaborator")
LIBRARY = "library"
_FOLDER = origin.ROOT / "docs/results"
_DATA, _PAGE = "sizes.json", "sizes.md"
_MEGABYTE = 10**6
_LIST = "import importlib.metadata as m; print(*sorted({one.metadata['Name'].lower() for one in m.distributions()}))"

Figures = dict[str, dict[str, Any]]


def measure_library(source: Path) -> Figures:
    """The size on the disk of an environment with the library alone, and what is installed in it."""
    pin = re.search(r"^torch==[^ \n]*", (source / "requirements/cpu.in").read_text(), flags=re.MULTILINE)
    assert pin is not None
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder, "bin/python")
        for package in (pin[0], str(source / "shared")):
            _run([str(python), "-m", "pip", "install", "--quiet", package], source)
        return _figures(LIBRARY, size_of(Path(folder)), _run([str(python), "-c", _LIST], source).split())


def size_of(folder: Path) -> int:
    """The bytes of all files in a folder; what is linked twice counts once."""
    found: dict[tuple[int, int], int] = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            said = path.stat()
            found[said.st_dev, said.st_ino] = said.st_size
    return sum(found.values())


def measure_images(source: Path) -> Figures:
    """The size of each image as Docker gives it, and the Python packages in it. Images that have a name keep it."""
    figures: Figures = {}
    for name in IMAGES:
        build = ["docker", "buildx", "build", "--quiet", "--load", "--file", "docker/Dockerfile", "--target", name, "."]
        image = _run(build, source).strip()
        size = int(_run(["docker", "image", "inspect", "--format", "{{.Size}}", image], source))
        ran = ["docker", "run", "--rm", "--network", "none", "--entrypoint", "python", image, "-c", _LIST]
        figures |= _figures(name, size, _run(ran, source).split())
    return figures


def _figures(name: str, size: int, packages: list[str]) -> Figures:
    return {
        f"{name}/megabytes": {"value": size / _MEGABYTE},
        f"{name}/packages": {"value": len(packages), "names": packages},
    }


def _run(command: list[str], folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def render(figures: Figures) -> str:
    """docs/results/sizes.md."""
    made = sorted({str(figure["commit"])[:7] for name, figure in figures.items() if not name.startswith(BEFORE)})
    before = sorted({str(figure["commit"])[:7] for name, figure in figures.items() if name.startswith(BEFORE)})
    return f"""# What an installation takes

Made by `{COMMAND} --images` at {", ".join(made)}, and by `{COMMAND} --images --before {" ".join(before)}` for
the figures from before the package had extras. The library's environment is what `pip install ./shared` makes, with pip
and the CPU build of torch. Docker gives the sizes of the images, which contain the base image.

| what | MB | Python packages | MB before | packages before |
| --- | ---: | ---: | ---: | ---: |
{"".join(_rows(figures))}{"".join(_changes(figures))}
What is large in the images is torch and what OpenFL imports when a site starts (pandas, scikit-learn, SciPy). Both
share one layer with all of it.
"""


def _rows(figures: Figures) -> Iterator[str]:
    for name, title in ((LIBRARY, "the library"), *((image, f"image of the {image}") for image in IMAGES)):
        cells = [
            f"{figures[key]['value']:,.0f}" if key in figures else "not measured"
            for prefix in ("", BEFORE)
            for key in (f"{prefix}{name}/megabytes", f"{prefix}{name}/packages")
        ]
        yield f"| {title} | {' | '.join(cells)} |\n"


def _changes(figures: Figures) -> Iterator[str]:
    for name, title in (
        (LIBRARY, "An installation of the library"),
        *((image, f"The image of the {image}") for image in IMAGES),
    ):
        now, then = (figures.get(f"{prefix}{name}/packages") for prefix in ("", BEFORE))
        if now and then:
            gone, new = {*then["names"]} - {*now["names"]}, {*now["names"]} - {*then["names"]}
            yield f"\n{title} does without {_listed(gone)}"
            yield f", and has {_listed(new)} besides.\n" if new else ".\n"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) or "nothing that it had"


@click.command()
@click.option("--before", metavar="COMMIT", help="measure this commit, for the figures beside")
@click.option("--images", is_flag=True, help="build and measure the images too; needs a Docker Engine")
@click.option("--out", default=_FOLDER, type=click.Path(path_type=Path, file_okay=False))
def main(before: str | None, images: bool, out: Path) -> None:
    """Measure what the library and the images take."""
    commit = origin.commit(clean=out == _FOLDER and before is None)
    if before is not None:
        commit = _git("rev-parse", f"{before}^{{commit}}").strip()
    told = {"command": COMMAND + (" --images" if images else ""), "commit": commit, "machine": origin.machine()}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder)
        _git("archive", "--output", str(source / "source.tar"), commit)
        _run(["tar", "-xf", "source.tar"], source)
        found = measure_library(source) | (measure_images(source) if images else {})
    prefix = "" if before is None else BEFORE
    path = out / _DATA
    figures: Figures = json.loads(path.read_text()) if path.exists() else {}
    figures |= {prefix + name: {**figure, **told} for name, figure in found.items()}
    files.write_text(path, json.dumps(figures, indent=1, allow_nan=False) + "\n")
    files.write_text(out / _PAGE, render(figures))
    for name, figure in found.items():
        click.echo(f"{prefix}{name}: {figure['value']:,.0f}")


def _git(*arguments: str) -> str:
    return _run(["git", *arguments], origin.ROOT)


if __name__ == "__main__":
    sys.exit(call(main, sys.argv[1:], "benchmarks.sizes"))
