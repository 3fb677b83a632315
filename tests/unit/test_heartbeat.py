from __future__ import annotations

import os
import threading
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
    long_ago = time.time() - 3600
    os.utime(tmp_path / FILE, (long_ago, long_ago))
    assert main([str(tmp_path)]) == 1


def test_it_beats_until_it_is_stopped(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    Heart(tmp_path).beat_until(stop)
    assert main([str(tmp_path)]) == 0


def test_it_beats_no_longer_than_asked_for(tmp_path: Path) -> None:
    Heart(tmp_path).beat_until(threading.Event(), longest=0.0)
    assert main([str(tmp_path)]) == 0


def test_a_wrong_call_is_told_apart(tmp_path: Path) -> None:
    assert main([]) == 2
