"""Files to write uploads into are used again, and never by two at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedmol.fl.scratch import Scratch


def test_a_file_is_for_one_alone_until_it_is_given_back(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path / "scratch")
    first, file = scratch.take()
    file.close()
    second, file = scratch.take()
    file.close()
    assert first != second
    scratch.give_back(first)
    again, file = scratch.take()
    file.close()
    assert again == first


def test_what_an_earlier_process_left_is_free_and_new_names_are_new(tmp_path: Path) -> None:
    folder = tmp_path / "scratch"
    folder.mkdir()
    (folder / "7").write_bytes(b"old")
    scratch = Scratch(folder)
    taken, file = scratch.take()
    assert taken == folder / "7"
    file.write(b"x")  # over what was there, which stays as long as it was
    file.close()
    assert taken.read_bytes() == b"xld"
    other, file = scratch.take()
    file.close()
    assert other == folder / "8"


def test_a_file_from_elsewhere_is_taken_over(tmp_path: Path) -> None:
    scratch, given = Scratch(tmp_path / "scratch"), tmp_path / "given"
    given.write_bytes(b"upload")
    scratch.take_over(given)
    taken, file = scratch.take()
    file.close()
    assert taken.read_bytes() == b"upload"
    assert not given.exists()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    folder, target = tmp_path / "scratch", tmp_path / "target"
    folder.mkdir()
    target.write_bytes(b"mine")
    (folder / "1").symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"):
        Scratch(folder).take()
    assert target.read_bytes() == b"mine"
