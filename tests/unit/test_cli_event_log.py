"""fedmol log: what it prints, and how it ends."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fedmol.cli.main import run
from fedmol.errors import Exit
from tests.support.signed_history import Authority, History


@pytest.fixture
def history(tmp_path: Path) -> History:
    history = History(tmp_path, Authority(tmp_path))
    history.play(3)
    return history


def test_logs_that_nobody_has_changed(history: History, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["log", "verify", str(tmp_path), "--ca", str(tmp_path / "authority")]  # folders stand for what is in them
    assert run([*call, "--against", str(tmp_path / "north"), "--against", str(history.sites[1])]) == Exit.DONE
    said = capsys.readouterr().out
    for part in ("Found:\n  ", "lines 1 to 13, up to the end of round 3", "Not proven:\n  ", "No tampering found."):
        assert part in said
    assert "Tampering:" not in said
    assert run(["log", "compare", *map(str, history.sites), "--ca", str(history.authority.certificate)]) == Exit.DONE
    assert run(["log", "verify", str(tmp_path / "north")]) == Exit.DONE


def test_tampering_is_named_by_file_and_line(history: History, capsys: pytest.CaptureFixture[str]) -> None:
    path = history.aggregator.path
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:6], lines[6].replace(b'"step": 0', b'"step": 9'), *lines[7:]]))
    assert run(["log", "verify", str(path), "--against", str(history.sites[0])]) == Exit.LOG_TAMPERED
    said = capsys.readouterr()
    assert f"Tampering:\n  {path}: line 7 was changed" in said.out
    assert "No tampering found" not in said.out
    assert "docs/errors/047-log-tampered.md" in said.err


def test_a_stranger_s_text_does_nothing_to_the_terminal(history: History, capsys: pytest.CaptureFixture[str]) -> None:
    path = history.logs["north"].path
    path.write_bytes(path.read_bytes().replace(b'"site": "north"', b'"site": "\\u001b[2J\\u202e"'))
    assert run(["log", "verify", str(path)]) == Exit.LOG_TAMPERED
    said = capsys.readouterr()
    assert all(one.isprintable() for one in (said.out + said.err).splitlines())


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (["verify"], Exit.USAGE),
        (["verify", "nothing.jsonl"], Exit.USAGE),
        (["verify", "empty"], Exit.USAGE),
        (["verify", "north", "--against", "south"], Exit.USAGE),
        (["verify", "aggregator", "--ca", "nowhere.crt"], Exit.CERTIFICATE_MISSING),
        (["verify", "authority/ca.crt"], Exit.STATE_UNUSABLE),
        (["compare"], Exit.USAGE),
        (["compare", "north", "aggregator"], Exit.USAGE),
    ],
)
def test_a_wrong_call_ends_with_its_code(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: list[str], code: Exit
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    assert run(["log", *call]) == code


def test_links_are_followed_as_of_a_mounted_folder(history: History, tmp_path: Path) -> None:
    shutil.move(history.aggregator.path, tmp_path / "elsewhere")
    history.aggregator.path.symlink_to(tmp_path / "elsewhere")
    assert run(["log", "verify", str(history.aggregator.path), "--against", str(history.sites[0])]) == Exit.DONE
