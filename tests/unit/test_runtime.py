from __future__ import annotations

import errno
import os
import pwd
import resource
import subprocess
import sys
from pathlib import Path

import click
import pytest

from fedmol import files, sealed
from fedmol.errors import Exit
from fedmol.runtime import call


def _end_with(error: OSError) -> int:
    @click.command()
    def command() -> None:
        raise error

    return call(command, [], "program")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG])
def test_a_disk_that_takes_no_more_has_a_code_of_its_own(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert _end_with(OSError(number, os.strerror(number), "place/file")) == Exit.STORAGE
    said = capsys.readouterr().err
    assert "place/file" in said
    assert "docs/errors/039-storage.md" in said


def test_a_program_whose_last_words_nobody_can_take_still_ends_with_its_code(tmp_path: Path) -> None:
    """Standard error goes to a file on the disk that is full."""
    program = (
        "import errno, sys, click\nfrom fedmol.runtime import call\n"
        "@click.command()\ndef command():\n    raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "sys.exit(call(command, [], 'program'))"
    )
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-c", program], stderr=full, timeout=60, check=False)
    assert done.returncode == Exit.STORAGE


def test_a_path_that_is_not_there_is_still_a_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    assert _end_with(FileNotFoundError(errno.ENOENT, "No such file or directory", "elsewhere")) == Exit.USAGE
    assert "elsewhere" in capsys.readouterr().err


def test_a_file_that_does_not_fit_is_named_and_the_old_one_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file"
    files.write_text(path, "before")

    @click.command()
    def command() -> None:
        files.write_bytes(path, bytes(100_000))

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # Python ignores SIGXFSZ
    try:
        ended = call(command, [], "program")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert ended == Exit.STORAGE
    assert str(path) in capsys.readouterr().err
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("file", "before")]


def test_a_sealed_file_that_cannot_be_read_now_is_not_taken_for_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state"
    sealed.save(path, {}, {})

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error", str(path))

    monkeypatch.setattr(sealed, "open_regular", fail)
    with pytest.raises(OSError, match="Input/output"):
        sealed.load(path, 1000)


def test_a_user_without_a_name_and_a_home_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setenv("HOME", "")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    homes: list[Path] = []
    assert call(click.Command("look", callback=lambda: homes.append(Path.home())), [], "look") == Exit.DONE
    assert homes[0].is_dir()
