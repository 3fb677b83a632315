"""fedmol prepare: shards and certificates for a federation whose parties are played in containers."""

from __future__ import annotations

from pathlib import Path

import click

_PATH = click.Path(path_type=Path)


@click.command("prepare")
@click.option("--settings", "path", type=_PATH, default=Path("federation.yaml"), show_default=True)
@click.option("--out", type=_PATH, required=True, help="folder for the parties' files, laid out like a run's")
def prepare(path: Path, out: Path) -> None:
    """For trials: split the molecules of data.source among the sites and make all certificates.

    In a real federation every site brings its own molecules and makes its own key (fedmol certs request).
    """
    from fedmol.fl.federation import load, require_address
    from fedmol.local.preparation import prepare_files

    settings = load(path)
    require_address(settings, path)
    names = ", ".join(settings.site_names)
    if prepare_files(settings, out):
        click.echo(f"shards of {settings.data.source!r} and certificates are ready for {names}")
    else:
        click.echo(f"shards and certificates already exist for {names}")
