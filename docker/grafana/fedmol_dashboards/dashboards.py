"""All dashboards, by the names of their files."""

from __future__ import annotations

from fedmol_dashboards.boards import text
from fedmol_dashboards.federation import federation
from fedmol_dashboards.site import site

_BOARDS = {"federation.json": federation, "site.json": site}


def dashboards() -> dict[str, str]:
    """Each one's JSON, as Grafana reads it."""
    return {name: text(board()) for name, board in _BOARDS.items()}
