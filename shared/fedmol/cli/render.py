"""fedmol render: the files that federation.yaml stands for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedmol.runtime import RUN_ID

if TYPE_CHECKING:
    from fedmol.fl.federation import Settings

DEFAULT_RUN = "trial"
_PATH = click.Path(path_type=Path)


@click.command("render")
@click.option("--settings", "path", type=_PATH, default=Path("federation.yaml"), show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    show_default=True,
    help="folder to write to",
)
@click.option("--run", type=RUN_ID, default=DEFAULT_RUN, show_default=True, help="id of the run, for the Helm values")
@click.option("--check", is_flag=True, help="write nothing; fail if a file is out of date")
def render(path: Path, out: Path, run: str, check: bool) -> None:
    """Write the files that follow from federation.yaml.

    These are the compose files, Prometheus's targets, and Helm values for each party, which hold what that party needs
    and nothing of the others.
    """
    from fedmol import files
    from fedmol.errors import Exit, FedmolError
    from fedmol.fl.federation import load

    texts = rendered(load(path), run, path.name)
    stale = [name for name, text in texts.items() if _read(out / name) != text]
    if check and stale:
        raise FedmolError(
            Exit.BAD_SETTINGS, f"{', '.join(stale)} do not follow from {path}", f"run fedmol render --settings {path}"
        )
    for name in stale:
        files.write_text(out / name, texts[name])
    click.echo(f"{len(texts)} files follow from {path}; written: {', '.join(stale) or 'none, all were up to date'}")


def rendered(settings: Settings, run: str, origin: str) -> dict[str, str]:
    """Each file's text, by its path. `run` is the run's id, `origin` the name of the settings file."""
    from fedmol.containers.compose_file import TARGETS, compose, compose_gpu, scrape_targets
    from fedmol.containers.helm_values import aggregator_values, site_values

    values = {site: site_values(settings, site, run, origin) for site in settings.site_names}
    return {
        "compose.yaml": compose(settings),
        "compose.gpu.yaml": compose_gpu(settings),
        **{str(TARGETS / name): text for name, text in scrape_targets(settings.site_names).items()},
        "k8s/values/aggregator.yaml": aggregator_values(settings, run, origin),
        **{f"k8s/values/{site}.yaml": text for site, text in values.items()},
    }


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
