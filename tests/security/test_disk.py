"""A disk that is full or cannot be written, sites that cannot come any more, and what a run's outcome is (row R9)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import grpc
import pytest

from fedmol.errors import Exit
from fedmol.local.processes import Party
from fedmol.telemetry.events.round_events import RoundFinished
from tests.support.light import Build, Light, light_settings
from tests.support.stage import AGGREGATOR

# From this many bytes of a file on, writing fails as it does on a full disk.
_LIMIT = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
os.execv(sys.argv[2], sys.argv[2:])
"""
# A view of the file system in which the working folder cannot be written.
_READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
_VIEWS = (["unshare", "-rm"], ["sudo", "-n", "unshare", "-m"])


@contextmanager
def _started_by(one: Light, *command: str) -> Iterator[None]:
    """The aggregator is started through another command in the block."""
    party: Party = one.stage.parties[AGGREGATOR]
    one.stage.parties[AGGREGATOR] = replace(party, command=[*command, *party.command])
    yield
    one.stage.parties[AGGREGATOR] = party


def _on_a_disk_of(one: Light, largest: int) -> tuple[str, ...]:
    return sys.executable, "-c", _LIMIT, str(largest)


@pytest.mark.parametrize("where", ["an-upload", "the-round"])
def test_a_full_disk_ends_the_aggregator_by_name_and_a_larger_one_goes_on(light: Build, where: str) -> None:
    """An upload is a little smaller than the file of a round, which holds the round's account as well."""
    one = light(light_settings("east", "west"))
    one.open()
    one.play()
    one.kill()
    room = len(one.model) * 4 + 400 if where == "the-round" else len(one.model) * 2
    with _started_by(one, *_on_a_disk_of(one, room)):
        one.stage.start(AGGREGATOR)
        one.connect()
        if where == "the-round":
            one.report()
        else:
            with pytest.raises(grpc.RpcError):
                one.report("east")
        assert one.stage.wait(AGGREGATOR) == Exit.STORAGE
    said = one.stage.parties[AGGREGATOR].last_words()
    assert str(one.work) in said
    assert "cure:" in said
    one.stage.start(AGGREGATOR)
    one.connect()
    one.play()
    assert [event.round for event in one.stage.events(RoundFinished)] == [1, 2]


def test_a_disk_that_is_full_while_sites_join_ends_the_aggregator_by_name(light: Build) -> None:
    one = light(light_settings("east", "west"))
    one.stage.start(AGGREGATOR)
    one.connect()
    one.kill()
    room = max(path.stat().st_size for path in one.work.rglob("*") if path.is_file()) + 600  # for no joining more
    with _started_by(one, *_on_a_disk_of(one, room)):
        one.stage.start(AGGREGATOR)
        one.connect()
        with pytest.raises(grpc.RpcError) as answer:
            one.join("east")
        assert answer.value.code() is grpc.StatusCode.UNAVAILABLE
        assert one.stage.wait(AGGREGATOR) == Exit.STORAGE
    assert str(one.work) in one.stage.parties[AGGREGATOR].last_words()
    one.open()
    one.play()


def test_a_folder_that_cannot_be_written_ends_the_aggregator_by_name(light: Build) -> None:
    one = light(light_settings("east", "west"))
    one.open()
    one.play()
    one.kill()
    view = next((view for view in _VIEWS if _works(view)), None)
    if view is None:
        pytest.skip("this user may not look at the file system in another way")
    before = {path: path.read_bytes() for path in one.work.rglob("*") if path.is_file()}
    with _started_by(one, *view, "sh", "-c", _READ_ONLY, str(one.work)):
        one.stage.start(AGGREGATOR)
        assert one.stage.wait(AGGREGATOR) == Exit.STORAGE, one.stage.log(AGGREGATOR)
    assert str(one.work) in one.stage.parties[AGGREGATOR].last_words()
    assert {path: path.read_bytes() for path in one.work.rglob("*") if path.is_file()} == before
    one.stage.start(AGGREGATOR)
    one.connect()
    one.play()


def _works(view: list[str]) -> bool:
    try:
        command = [*view, "sh", "-c", "mount --bind /tmp /tmp && mount -o remount,ro,bind /tmp"]
        return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def test_a_site_that_failed_ends_a_run_that_needs_everybody_long_before_the_deadline(light: Build) -> None:
    one = light(light_settings("east", "west", lost_after=2.0))
    one.open()
    one.play()
    one.report("east")
    one.members["west"].report("failed", one.round)
    assert one.stage.wait(AGGREGATOR) == Exit.QUORUM_LOST
    assert "failed" in one.stage.parties[AGGREGATOR].last_words()
    one.stage.start(AGGREGATOR)
    one.connect()
    one.play()


def test_a_run_is_complete_only_when_nobody_missed_a_round(light: Build) -> None:
    """The last round had everybody, an earlier one had not."""
    one = light(light_settings("east", "model", "west", length=3, quorum=2, grace=0.5))
    one.open()
    one.play()
    assert one.play("east", "model").body.missing == ["west"]
    one.restart()
    assert one.play().body.missing == []
    finished = one.finish()
    assert (finished.body.outcome, finished.body.missing) == ("quorum", [])
    assert finished.body.missed_rounds == {"west": 1}
