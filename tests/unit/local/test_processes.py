from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from fedmol.errors import Exit
from fedmol.local.processes import Party, stop, stop_leftovers
from fedmol.local.runner import failure
from fedmol.run_folder import RunFolder


def _party(folder: Path, program: str) -> Party:
    return Party("party", [sys.executable, "-c", program], folder / "party.log", threads=1)


def _await(party: Party) -> int:
    assert party.process is not None
    return party.process.wait(30)


def test_a_killed_party_is_started_again_a_few_times_only(tmp_path: Path) -> None:
    party = _party(tmp_path, "import time; time.sleep(60)")
    party.start()
    for _ in range(3):
        assert party.process is not None
        os.kill(party.process.pid, signal.SIGKILL)
        assert _await(party) == -signal.SIGKILL
        assert party.revive()
        assert party.code is None
    assert party.process is not None
    os.kill(party.process.pid, signal.SIGKILL)
    _await(party)
    assert not party.revive()


def test_a_party_that_ended_by_itself_stays_ended(tmp_path: Path) -> None:
    party = _party(tmp_path, "raise SystemExit(21)")
    party.start()
    assert _await(party) == 21
    assert not party.revive()


@pytest.mark.parametrize("before", ["", "print('line'); "])
def test_last_words_are_the_error_message(tmp_path: Path, before: str) -> None:
    party = _party(tmp_path, before + "print('error: no\\n  cure: yes')")
    party.start()
    _await(party)
    assert party.last_words() == "error: no\n  cure: yes"


def test_stop_asks_before_it_kills(tmp_path: Path) -> None:
    program = (
        "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(7)); print('up', flush=True); time.sleep(60)"
    )
    party = _party(tmp_path, program)
    party.start()
    while "up" not in party.log.read_text():
        time.sleep(0.02)
    stop([party])
    assert party.code == 7


def test_leftovers_of_this_run_only_are_stopped(tmp_path: Path) -> None:
    ours, others = (_party(tmp_path, "import time; time.sleep(60)") for _ in range(2))
    ours.command += ["--settings", str(tmp_path / "one" / "settings.yaml")]
    others.command += ["--settings", str(tmp_path / "one-more" / "settings.yaml")]
    ours.start()
    others.start()
    assert ours.process is not None
    try:
        assert stop_leftovers(RunFolder(tmp_path / "one")) == [ours.process.pid]
        assert ours.code is not None
        assert others.code is None
        assert stop_leftovers(RunFolder(tmp_path / "one")) == []
    finally:
        stop([ours, others])


@pytest.mark.parametrize(
    ("said", "message", "cure"),
    [
        (
            "error: too slow\n  cure: ask the coordinator\n  see:  docs/errors/x.md",
            "too slow",
            "ask the coordinator (in a",
        ),
        ("error: no room\n  cure: make room\n  see:  docs/errors/x.md", "no room", "make room; its log is"),
        ("killed", "killed", "look: its log is"),
    ],
)
def test_a_party_that_failed_is_told_with_one_cure_its_own(tmp_path: Path, said: str, message: str, cure: str) -> None:
    party = _party(tmp_path, f"import sys; print({said!r}); sys.exit(3)")
    party.start()
    _await(party)
    told = failure(party, Exit.SITE_FAILED)
    assert told.message == f"party ended with exit code 3: {message}"
    assert told.cure.startswith(cure)
    assert told.cure.endswith(f"its log is {party.log}")
    assert str(told).count("cure: ") == str(told).count("see: ") == 1
