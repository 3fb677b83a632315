"""The extras of the package `fedmol`: which modules each one brings, and what to say where one is not installed.

The library alone loads, samples, trains and evaluates models. What only some people need is an extra, so that nobody
installs more than they use; `shared/pyproject.toml` has the same list with versions.
"""

from __future__ import annotations

from importlib.util import find_spec

from fedmol.errors import Exit, FedmolError
from fedmol.formats import names

EXTRAS: dict[str, tuple[str, ...]] = {
    "certificates": ("cryptography",),
    "containers": ("docker", "requests"),
    "fcd": ("fcd",),
    "parquet": ("duckdb",),
    "report": ("cryptography", "pandas"),
    "run": ("cryptography", "pandas", "psutil"),
    "sidecar": ("cryptography", "fastapi", "prometheus_client", "uvicorn"),
}
PROGRAMS = ("fedmol_aggregator", "fedmol_collaborator")  # packages of their own, which `fedmol run` starts


def missing(extra: str) -> list[str]:
    """The modules of an extra that are not installed."""
    return [module for module in EXTRAS[extra] if find_spec(module) is None]


def require(extra: str, what: str) -> None:
    """Go on only where an extra is installed; `what` needs it.

    Raises:
        FedmolError: EXTRA_MISSING, with the command that installs it.

    Example:
        >>> require("parquet", "molecules.parquet")
    """
    if lacking := missing(extra):
        raise FedmolError(
            Exit.EXTRA_MISSING,
            f"{what} needs {names(lacking)}, which this installation lacks",
            f"install the extra {extra}: {how_to_install(extra)}",
        )


def require_programs(what: str) -> None:
    """Go on only where the aggregator's and the site's program are installed.

    Raises:
        FedmolError: EXTRA_MISSING.
    """
    if lacking := [name for name in PROGRAMS if find_spec(name) is None]:
        raise FedmolError(
            Exit.EXTRA_MISSING,
            f"{what} starts {names(lacking)}, which this installation lacks",
            "install both programs: pip install ./aggregator ./collaborator",
        )


def how_to_install(extra: str) -> str:
    """The command, to be given in a checkout of fedmol."""
    return f"pip install './shared[{extra}]'"
