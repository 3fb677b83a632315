from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fedmol.heartbeat import FILE, PERIOD, Heart, main


def test_a_beating_heart_is_healthy(tmp_path: Path) -> None:
    Heart(tmp_path).beat()
    assert main([str(tmp_path)]) == 0


def test_no_beat_is_no_life(tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 1


def test_a_heart_that_stopped_is_noticed(tmp_path: Path) -> None:
    Heart(tmp_path).beat()
    _set(tmp_path, time.monotonic() - 3600)
    assert main([str(tmp_path)]) == 1


def _set(folder: Path, beat: float, boot: str | None = None) -> None:
    path = folder / FILE
    own = path.read_text().split()[0]
    path.write_text(f"{boot or own} {beat:.3f}")


def test_the_wall_clock_has_no_part_in_it(tmp_path: Path) -> None:
    Heart(tmp_path).beat()
    for jump in (-3600, 3600):
        os.utime(tmp_path / FILE, (time.time() + jump,) * 2)
        assert main([str(tmp_path)]) == 0


def test_a_beat_of_the_future_or_of_another_start_of_the_machine_is_none(tmp_path: Path) -> None:
    Heart(tmp_path).beat()
    _set(tmp_path, time.monotonic() + 60)
    assert main([str(tmp_path)]) == 1
    _set(tmp_path, time.monotonic(), "another-boot")
    assert main([str(tmp_path)]) == 1
    _set(tmp_path, float("nan"))
    assert main([str(tmp_path)]) == 1
    Heart(tmp_path).beat()
    assert main([str(tmp_path)]) == 0


def test_a_wrong_call_is_told_apart(tmp_path: Path) -> None:
    assert main([]) == 2


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.fspath(path))


@pytest.mark.parametrize(
    "put",
    [
        lambda path: path.symlink_to(path.with_name("victim")),
        lambda path: path.symlink_to(path),
        lambda path: path.hardlink_to(path.with_name("victim")),
        os.mkfifo,
        _socket,
    ],
    ids=["link", "loop", "hard link", "pipe", "socket"],
)
def test_what_was_put_in_a_beat_s_place_is_replaced_and_not_written_to(
    tmp_path: Path, put: Callable[[Path], None]
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("somebody's")
    put(tmp_path / FILE)
    Heart(tmp_path).beat()
    assert main([str(tmp_path)]) == 0
    assert victim.read_text() == "somebody's"


def test_a_beat_that_cannot_be_written_is_said_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    (tmp_path / FILE).mkdir()
    heart = Heart(tmp_path)
    for _ in range(3):
        heart.beat()
        now += PERIOD
    assert [(record.levelno, str(tmp_path / FILE) in record.message) for record in caplog.records] == [
        (logging.WARNING, True)
    ]
    (tmp_path / FILE).rmdir()
    heart.beat()
    assert main([str(tmp_path)]) == 0
