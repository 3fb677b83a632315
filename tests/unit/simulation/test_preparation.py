from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fedmol.data.reading import read_table
from fedmol.errors import Exit, FedmolError
from fedmol.federation.certificates import CertificateFiles, check_files
from fedmol.federation.settings import Settings, parse
from fedmol.simulation.preparation import prepare, recall


def settings(**changes: Any) -> Settings:
    return parse(
        {
            "sites": [{"name": "north"}, {"name": "south"}, {"name": "west"}],
            "data": {"source": "embedded", "limit": 200, **changes},
        },
        "test",
    )


def _molecules(path: Path) -> set[str]:
    return set(read_table(path).smiles)


def test_every_molecule_goes_to_one_site_or_to_the_test_set(tmp_path: Path) -> None:
    resolved = prepare(settings(split={"kind": "scaffold"}), tmp_path / "run")
    parts = [_molecules(tmp_path / "run" / "sites" / site / "shard.csv") for site in resolved.site_names]
    parts.append(_molecules(tmp_path / "run" / "data" / "test.csv"))
    assert sum(map(len, parts)) == len(set.union(*parts)) == 200
    assert len(parts[-1]) == 20


def test_every_party_gets_certificates_of_its_own(tmp_path: Path) -> None:
    prepare(settings(), tmp_path / "run")
    for party, name in (("aggregator", None), ("site-north", "north"), ("site-west", "west")):
        check_files(CertificateFiles.in_folder(tmp_path / "run" / "certs" / party), name)


def test_what_was_prepared_is_recalled(tmp_path: Path) -> None:
    resolved = prepare(settings(), tmp_path / "run")
    assert recall(tmp_path / "run") == resolved
    assert resolved.network.port > 0
    assert resolved.network.listen == "127.0.0.1"


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    prepare(settings(), tmp_path / "run")
    with pytest.raises(FedmolError, match="--resume") as caught:
        prepare(settings(), tmp_path / "run")
    assert caught.value.exit is Exit.USAGE


def test_bad_data_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(FedmolError) as caught:
        prepare(settings(source=str(tmp_path / "nowhere.csv")), tmp_path / "runs" / "run")
    assert caught.value.exit is Exit.BAD_DATA
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_folder_without_a_run_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(FedmolError) as caught:
        recall(tmp_path)
    assert caught.value.exit is Exit.STATE_UNUSABLE
