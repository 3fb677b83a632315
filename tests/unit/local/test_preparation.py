from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fedmol.data.molecule_files import read_table
from fedmol.errors import Exit, FedmolError
from fedmol.fl.federation import Settings, parse
from fedmol.local.preparation import prepare, prepare_files, recall
from fedmol.pki.certificate_info import describe
from fedmol.pki.certificates import CertificateFiles, check_files
from fedmol.run_folder import RunFolder


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
    assert recall(RunFolder(tmp_path / "run")) == resolved
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
        recall(RunFolder(tmp_path))
    assert caught.value.exit is Exit.STATE_UNUSABLE


def in_containers(**changes: Any) -> Settings:
    return settings(**changes).model_copy(
        update={"network": settings().network.model_copy(update={"address": "aggregator", "port": 50051})}
    )


def test_places_are_furnished_once(tmp_path: Path) -> None:
    for place in ("data", "certs/authority", "certs/aggregator", "certs/site-north", "sites/north"):
        (tmp_path / place).mkdir(parents=True)  # as volumes are
    assert prepare_files(in_containers(), tmp_path) is True
    key = (tmp_path / "certs" / "site-north" / "party.key").read_bytes()
    assert prepare_files(in_containers(), tmp_path) is False
    assert (tmp_path / "certs" / "site-north" / "party.key").read_bytes() == key
    check_files(CertificateFiles.in_folder(tmp_path / "certs" / "site-north"), "north")
    assert (tmp_path / "certs" / "site-north" / "party.key").stat().st_mode & 0o077 == 0
    assert "aggregator" in describe(tmp_path / "certs" / "aggregator" / "party.crt").names


def test_furnishing_that_was_broken_off_begins_again(tmp_path: Path) -> None:
    prepare_files(in_containers(), tmp_path)
    (tmp_path / "data" / "prepared").unlink()
    assert prepare_files(in_containers(), tmp_path) is True
    check_files(CertificateFiles.in_folder(tmp_path / "certs" / "aggregator"), None)


def test_places_of_another_federation_are_left_alone(tmp_path: Path) -> None:
    prepare_files(in_containers(), tmp_path)
    before = (tmp_path / "sites" / "north" / "shard.csv").read_bytes()
    with pytest.raises(FedmolError, match="other settings") as caught:
        prepare_files(in_containers(limit=150), tmp_path)
    assert caught.value.exit is Exit.STATE_UNUSABLE
    assert (tmp_path / "sites" / "north" / "shard.csv").read_bytes() == before


def test_what_sites_train_on_is_known_to_the_coordinator_of_a_trial(tmp_path: Path) -> None:
    prepare_files(in_containers(), tmp_path)
    known, test = _molecules(tmp_path / "data" / "known.csv"), _molecules(tmp_path / "data" / "test.csv")
    assert known.isdisjoint(test)
    assert 150 < len(known) < 180  # 200 less the test molecules and those that sites hold out for validation
