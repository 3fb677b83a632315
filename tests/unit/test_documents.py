"""What a file may be, and how large and deep a document in it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedmol import files
from fedmol.documents import DocumentError, parse_json, read_json
from fedmol.errors import Exit, FedmolError
from fedmol.fl.federation import load
from fedmol.yaml_reading import parse_yaml


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, "[" * 33 + "]" * 33, "[[[" * 10**5 + '"' * 7])
def test_deep_json_is_refused(text: str) -> None:
    with pytest.raises(DocumentError, match="deep"):
        parse_json(text.encode())


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '{"x": [{"a": 1, "a": 1}]}'])
def test_what_is_said_twice_is_refused(text: str) -> None:
    with pytest.raises(DocumentError, match="'a' twice"):
        parse_json(text.encode())


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"{'a': 1}", b"1" * 5000, b'"\x00'])
def test_what_is_no_json_is_refused(content: bytes) -> None:
    with pytest.raises(DocumentError):
        parse_json(content)


def test_honest_json_is_read_and_brackets_in_texts_are_no_depth() -> None:
    document: Any = {"a": ["[" * 100, '\\"{', None, 1.5, {"b": []}]}
    assert parse_json(json.dumps(document).encode()) == document


def test_no_text_makes_it_look_twice() -> None:
    began = time.process_time()
    for hostile in (b'"' + b'\\"' * 10**6, b'"\\' * 10**6, b'"' * 10**6):
        with pytest.raises(DocumentError):
            parse_json(hostile)
    assert time.process_time() - began < 30  # hours, if every quotation mark were a beginning


def test_a_document_of_any_size_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    with path.open("wb") as file:
        file.truncate(10**10)
    with pytest.raises(OSError, match="more than 1,048,576 bytes"):
        read_json(path)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x]\nb: [*a, *a]",
        "[" * 200_000,
        "a: 1\na: 2",
        "sites: [{name: a, name: b}]",
        "a: 2001-99-99",
        "? [a]\n: b",
        "!!python/object/apply:os.system [x]",
        "a: " + "1" * 5000,
    ],
)
def test_settings_that_unfold_nest_or_contradict_themselves_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DocumentError):
        parse_yaml(text)
    path = tmp_path / "federation.yaml"
    path.write_text(text)
    with pytest.raises(FedmolError) as refused:
        load(path)
    assert refused.value.exit is Exit.BAD_SETTINGS


def _link(path: Path) -> None:
    path.symlink_to(path.with_name("private"))


@pytest.mark.parametrize(
    ("make", "said"), [(_link, "symbolic link"), (os.mkfifo, "named pipe"), (Path.mkdir, "Is a directory")]
)
def test_only_a_file_is_written_over_or_read(tmp_path: Path, make: Callable[[Path], None], said: str) -> None:
    private, path = tmp_path / "private", tmp_path / "report.html"
    private.write_text("key")
    make(path)
    before = path.lstat()
    with pytest.raises(OSError, match=said):
        files.write_text(path, "report")
    with pytest.raises(OSError, match=said):
        files.read_bytes(path, 100)
    assert path.lstat() == before
    assert private.read_text() == "key"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["private", "report.html"]
