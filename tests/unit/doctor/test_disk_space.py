"""A party's folder, and the room on its disk."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from fedmol.doctor import disk_space
from fedmol.fl.federation import parse

Usage = namedtuple("Usage", "total used free")  # what shutil.disk_usage returns
SETTINGS = parse({"sites": [{"name": "north"}], "model": {"preset": "small", "layers": 1}}, "test")


@pytest.mark.parametrize(("free", "state"), [(10**12, "ok"), (150 * 10**6, "warning"), (10**6, "failed")])
def test_the_disk(free: int, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, free))
    finding = disk_space.aggregator_disk(SETTINGS, tmp_path / "not" / "yet" / "there")
    assert finding.state == state
    assert ("make room" in finding.cure) == (state != "ok")


def test_a_work_folder_is_tried_and_nothing_is_left_in_it(tmp_path: Path) -> None:
    assert disk_space.work_folder(tmp_path).state == "ok"
    assert disk_space.work_folder(tmp_path / "new" / "folder").found == f"can be made in {tmp_path}"
    assert list(tmp_path.iterdir()) == []


def test_a_work_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    finding = disk_space.work_folder(tmp_path / "file")
    assert (finding.state, "cannot be written to" in finding.found) == ("failed", True)
    assert "--work" in finding.cure
