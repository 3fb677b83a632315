"""A working folder belongs to one party of one run, and to one process at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fedmol.errors import Exit, FedmolError
from fedmol.files import refusing_exchanged, write_bytes
from fedmol.run_folder import Owner, claim
from fedmol.telemetry.events.site_events import PhaseEntered
from fedmol.telemetry.log import EventLog

NORTH = Owner("trial-1", "site", "north")


def refused(folder: Path, owner: Owner) -> FedmolError:
    with pytest.raises(FedmolError) as caught:
        claim(folder, owner)
    return caught.value


def test_a_folder_is_taken_up_again_by_its_owner(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "work"
    os.close(claim(folder, NORTH))
    os.close(claim(folder, NORTH))


def test_a_new_folder_lets_the_group_in_and_nobody_else(tmp_path: Path) -> None:
    """A sidecar is another user of the same group; it enters the folder and reads the log, and no more."""
    folder, before = tmp_path / "volume" / "trial-1", os.umask(0o077)
    try:
        os.close(claim(folder, NORTH))
        EventLog(folder / "events.jsonl", run="trial-1", site="north")
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())}
    assert modes == {"trial-1": 0o750, "events.jsonl": 0o640, "owner.json": 0o600, "lock": 0o600}


def test_two_processes_do_not_work_in_one_folder(tmp_path: Path) -> None:
    lock = claim(tmp_path, NORTH)
    error = refused(tmp_path, NORTH)
    assert error.exit is Exit.FOLDER_IN_USE
    assert str(os.getpid()) in error.message
    os.close(lock)
    os.close(claim(tmp_path, NORTH))


def test_the_lock_ends_with_its_process_however_that_ends(tmp_path: Path) -> None:
    script = (
        "import os, sys, pathlib; from fedmol.run_folder import Owner, claim; "
        "claim(pathlib.Path(sys.argv[1]), Owner('trial-1', 'site', 'north')); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == -9
    os.close(claim(tmp_path, NORTH))


@pytest.mark.parametrize(
    "other",
    [
        Owner("trial-2", "site", "north"),
        Owner("trial-1", "site", "south"),
        Owner("trial-1", "aggregator", "aggregator"),
    ],
    ids=["run", "site", "role"],
)
def test_another_s_folder_is_refused_by_name(tmp_path: Path, other: Owner) -> None:
    os.close(claim(tmp_path, NORTH))
    error = refused(tmp_path, other)
    assert error.exit is Exit.STATE_UNUSABLE
    assert str(NORTH) in error.message
    assert str(other) in error.message
    os.close(claim(tmp_path, NORTH))


def test_a_folder_from_before_there_were_owners_is_known_by_its_log(tmp_path: Path) -> None:
    EventLog(tmp_path / "events.jsonl", run="trial-1", site="south").write(PhaseEntered())
    assert refused(tmp_path, NORTH).exit is Exit.STATE_UNUSABLE
    os.close(claim(tmp_path, Owner("trial-1", "site", "south")))


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000, b'{"run": 1}', b"\xff" * 5000])
def test_an_owner_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "owner.json").write_bytes(content)
    error = refused(tmp_path, NORTH)
    assert error.exit is Exit.STATE_UNUSABLE
    assert "owner.json" in error.message


def test_a_lock_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "lock").symlink_to(elsewhere)
    with pytest.raises(OSError, match="lock"):
        claim(tmp_path / "work", NORTH)
    assert not elsewhere.exists()


def _use(folder: Path) -> None:
    os.close(claim(folder, NORTH))
    EventLog(folder / "events.jsonl", run="trial-1", site="north").write(PhaseEntered())
    write_bytes(folder / "model.safetensors", b"")


def _link(path: Path) -> None:
    path.symlink_to(path.with_name("elsewhere"))


@pytest.mark.parametrize("name", ["lock", "owner.json", "events.jsonl", "model.safetensors"])
@pytest.mark.parametrize("put", [_link, os.mkfifo], ids=["link", "pipe"])
def test_what_is_no_regular_file_is_named_as_unusable_state(
    tmp_path: Path, name: str, put: Callable[[Path], None]
) -> None:
    path = tmp_path / name
    put(path)
    with pytest.raises(FedmolError) as caught, refusing_exchanged():
        _use(tmp_path)
    assert caught.value.exit is Exit.STATE_UNUSABLE
    assert str(path) in caught.value.message
    assert "Not a regular file" in caught.value.message
    assert not (tmp_path / "elsewhere").exists()


def test_other_errors_of_the_system_are_not_taken_for_unusable_state(tmp_path: Path) -> None:
    for error in (OSError(28, "No space left on device", "x"), OSError(22, "Invalid argument")):
        with pytest.raises(OSError, match=str(error.strerror)), refusing_exchanged():
            raise error
