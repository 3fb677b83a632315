"""What must lie ready before a simulated federation starts: shards, certificates, resolved settings."""

from __future__ import annotations

import socket
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd

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
    _deal(settings, folder)
    _certify(settings, folder / "certs")
    resolved = _resolve(settings)
    files.write_text(folder / SETTINGS, dump(resolved))  # last: a folder with settings is complete
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
    table = sources.load(settings.data)
    rest, test = holdout(table.smiles, settings.data.test_share, settings.seed)
    dealt = np.asarray(table.smiles, dtype=object)[rest]
    shards = split(list(dealt), settings.data.split, len(settings.sites), settings.seed)
    _write(folder / "data" / "test.csv", np.asarray(table.smiles, dtype=object)[test])
    _write(folder / "data" / "known.csv", dealt)
    for site, index in zip(settings.site_names, shards, strict=True):
        _write(folder / "sites" / site / "shard.csv", dealt[index])


def _write(path: Path, smiles: np.ndarray) -> None:  # type: ignore[type-arg]
    files.write_text(path, pd.DataFrame({"smiles": smiles}).to_csv(index=False))


def _certify(settings: Settings, folder: Path) -> None:
    authority = folder / "authority"
    certificates.make_ca(authority, settings.name, _VALIDITY)
    certificates.issue_aggregator(authority, folder / AGGREGATOR, ["localhost", "127.0.0.1"], _VALIDITY)
    for site in settings.site_names:
        certificates.issue_site(authority, folder / f"site-{site}", site, _VALIDITY)
