"""fedmol doctor: check, before a run, everything that would keep a site or the aggregator from taking part."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import click

from fedmol.runtime import RUN_ID

if TYPE_CHECKING:
    from fedmol.doctor.checks import Check, Result

_FILE, _FOLDER = click.Path(path_type=Path), click.Path(path_type=Path, file_okay=False)


@click.command()
@click.option("--settings", "path", type=_FILE, required=True, help="federation.yaml")
@click.option("--certs", type=_FOLDER, required=True, help="folder with ca.crt, party.crt and party.key")
@click.option("--site", help="this site's name in federation.yaml; leave it out to check the aggregator")
@click.option("--shard", type=_FILE, help="this site's file of molecules (see docs/molecules.md)")
@click.option("--work", type=_FOLDER, help="this party's working folder")
@click.option(
    "--run", type=RUN_ID, help="id of the run, to check that the aggregator serves it and that it is not over here"
)
@click.option("--json", "report", type=_FILE, help="JSON file for the results and measurements")
def doctor(
    path: Path,
    certs: Path,
    site: str | None,
    shard: Path | None,
    work: Path | None,
    run: str | None,
    report: Path | None,
) -> None:
    """Check everything that could keep this site from taking part, before it joins.

    It checks certificates, the connection to the aggregator, the clock, versions and settings, molecules, speed, memory
    and disk, and prints one table with a cure for each failure. Exit code 0 means that nothing failed; warnings are
    allowed. The site does not join, and nothing is left behind. Without --site and --shard it checks the aggregator.
    """
    if (site is None) != (shard is None):
        raise click.UsageError("give both --site and --shard for a site, or neither for the aggregator")
    results = _examine(_checks(path, certs, site, shard, work, run))
    from rich.console import Console

    from fedmol import files
    from fedmol.doctor.results_table import document, failures, table
    from fedmol.errors import Exit, FedmolError

    party = f"site {site}" if site else "aggregator"
    Console().print(table(party, results))
    if report is not None:
        files.write_text(report, document(party, results))
    if any(result.abandoned for result in results):
        atexit.register(_leave)
    if found := failures(results):
        raise FedmolError(
            Exit.NOT_READY,
            f"{party} is not ready: {', '.join(found)}",
            "do what the table says for each, from the top, then run fedmol doctor again",
        )


def _checks(
    path: Path, certs: Path, site: str | None, shard: Path | None, work: Path | None, run: str | None
) -> list[Check]:
    from fedmol.fl.federation import load, require_address
    from fedmol.pki.certificates import CertificateFiles

    settings, own = load(path), CertificateFiles.in_folder(certs)
    require_address(settings, path)
    if site is None or shard is None:
        from fedmol.doctor import aggregator_checks

        return aggregator_checks.checks(settings, own, work)
    sites = _sites()
    checks: list[Check] = sites.checks(settings, sites.SiteFolders(site, own, shard, work, run))
    return checks


def _sites() -> ModuleType:
    """It comes with the collaborator, which knows how a site joins, and which no aggregator has."""
    try:
        return import_module("fedmol_collaborator.doctor.site_checks")
    except ModuleNotFoundError as error:
        from fedmol.errors import Exit, FedmolError

        if not str(error.name).startswith("fedmol_"):
            raise
        raise FedmolError(
            Exit.EXTRA_MISSING,
            "fedmol doctor --site comes with fedmol_collaborator, which is not installed here",
            "install the site's program: pip install ./collaborator, or everything: make venv",
        ) from None


def _examine(checks: Sequence[Check]) -> list[Result]:
    from rich.console import Console

    from fedmol.doctor.checks import run_checks

    with Console(stderr=True).status("examining") as status:
        return run_checks(checks, lambda name: status.update(f"checking: {name}"))


def _leave() -> None:
    """A check that was given up may be stuck in native code, which would abort the interpreter's own way out."""
    from fedmol.errors import Exit

    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(Exit.NOT_READY)
