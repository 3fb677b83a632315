"""The command: `python -m fedmol_dashboards FOLDER`, or `make dashboards`."""

from __future__ import annotations

import sys
from pathlib import Path

from fedmol_dashboards.boards import text
from fedmol_dashboards.federation import federation
from fedmol_dashboards.site import site

DASHBOARDS = {"federation.json": federation, "site.json": site}


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, made in DASHBOARDS.items():
        (folder / name).write_text(text(made()))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
