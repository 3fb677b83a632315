from __future__ import annotations

import os
import time
from pathlib import Path

from fedmol.heartbeat import FILE, Heart, main


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
