"""What must lie ready before a simulated federation starts: shards, certificates, resolved settings."""

from __future__ import annotations

import socket
import tempfile
from datetime import timedelta
from pathlib import Path

from fedmol import files
from fedmol.data import sources
from fedmol.data.splits import holdout, split
from fedmol.errors import Exit, FedmolError
from fedmol.federation import certificates
from fedmol.federation.settings import Settings, dump, load
from fedmol.simulation.processes import AGGREGATOR

SETTINGS = "settings.yaml"
_VALIDITY = timedelta(days=30)


def prepare(settings: Settings, folder: Path) -> Settings:
    """Fill a new run folder; the settings come back with the port that was chosen."""
    if folder.exists():
        raise FedmolError(
            Exit.USAGE, f"there is a run in {folder} already", "go on with it by --resume, or choose another --run-id"
        )
    resolved = _resolve(settings)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as name:
        draft = Path(name) / folder.name
        _deal(settings, draft)
        _certify(settings, draft / "certs")
        files.write_text(draft / SETTINGS, dump(resolved))
        draft.rename(folder)  # only now: bad data leaves no half-made run behind
    return resolved


def recall(folder: Path) -> Settings:
    """The settings of a run that was prepared before."""
    if not (folder / SETTINGS).exists():
        raise FedmolError(Exit.STATE_UNUSABLE, f"{folder} holds no run to resume", "start a new run without --resume")
    return load(folder / SETTINGS)


def _resolve(settings: Settings) -> Settings:
    network = settings.network.model_copy(
        update={"address": "localhost", "listen": "127.0.0.1", "port": settings.network.port or free_port()}
    )
    return settings.model_copy(
        update={"network": network, "data": settings.data.model_copy(update={"column": "smiles"})}
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _deal(settings: Settings, folder: Path) -> None:
    """Hold a test set out that no site sees, and deal the rest out to the sites."""
    table = sources.load(settings.data, seed=settings.seed)
    rest, test = holdout(table.smiles, settings.data.test_share, settings.seed)
    known = table.take(rest.tolist())
    shards = split(known.smiles, settings.data.split, len(settings.sites), settings.seed)
    sources.write_table(folder / "data" / "test.csv", table.take(test.tolist()).smiles)
    for site, rows in zip(settings.site_names, shards, strict=True):
        sources.write_table(shard_path(folder, site), known.take(rows.tolist()).smiles)


def shard_path(folder: Path, site: str) -> Path:
    """Where the file of a simulated site lies."""
    return folder / "sites" / site / "shard.csv"


def _certify(settings: Settings, folder: Path) -> None:
    authority = folder / "authority"
    certificates.make_ca(authority, settings.name, _VALIDITY)
    certificates.issue_aggregator(authority, folder / AGGREGATOR, ["localhost", "127.0.0.1"], _VALIDITY)
    for site in settings.site_names:
        certificates.issue_site(authority, folder / f"site-{site}", site, _VALIDITY)
