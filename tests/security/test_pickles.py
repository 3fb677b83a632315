"""Nothing in a working folder is code: planted databases and pickles are not opened (row S13)."""

from __future__ import annotations

import os
import pickle
import sqlite3
from pathlib import Path

import pytest

from fedmol.telemetry.events.run_events import StateDamaged
from tests.support.light import Build, light_settings
from tests.support.stage import AGGREGATOR

# Loaded by the interpreter before the program: whoever unpickles or opens a database leaves a file behind.
_TRIPWIRE = """
import pathlib, pickle, sqlite3

def _caught(*_, **__):
    pathlib.Path({marker!r}).touch()
    raise SystemExit("a pickle or a database was opened")

pickle.load = pickle.loads = pickle._load = pickle._loads = sqlite3.connect = _caught
"""


class Touch:
    """Its pickle makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def _plant(work: Path, content: bytes) -> None:
    """What OpenFL's aggregator would take its state from, with a pickle in every row."""
    database = work / "tensor.db"
    with sqlite3.connect(database) as connection:
        for table in ("tensors", "next_round_tensors", "task_results"):
            connection.execute(
                f"CREATE TABLE {table} (id INTEGER, tensor_name TEXT, origin TEXT, round INTEGER, report INTEGER,"
                " tags TEXT, nparray BLOB, collaborator_name TEXT, round_number INTEGER, task_name TEXT,"
                " data_size INTEGER, named_tensors BLOB)"
            )
            connection.execute(
                f"INSERT INTO {table} VALUES (1, 'model', 'agg', 1, 0, 'model', ?, 'c', 1, 'train', 1, ?)",
                (content, content),
            )
        connection.execute("CREATE TABLE key_value_store (key TEXT, value REAL)")
        connection.execute("INSERT INTO key_value_store VALUES ('round_number', 1)")
    connection.close()
    for name in ("openfl/tensor.db", "openfl/last.pbuf", "rounds/round-0001.pkl", "uploads/round-0002/west.train.pkl"):
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(database.read_bytes() if name.endswith(".db") else content)


def test_planted_databases_and_pickles_are_not_opened(
    light: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, caught = tmp_path / "loaded", tmp_path / "caught"
    (tmp_path / "tripwire").mkdir()
    (tmp_path / "tripwire" / "sitecustomize.py").write_text(_TRIPWIRE.format(marker=str(caught)))
    one = light(light_settings("east", "west", length=2))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "tripwire"), os.environ.get("PYTHONPATH", "")]))
    one.open()
    one.play()
    one.kill()
    _plant(one.work, pickle.dumps(Touch(loaded)))
    one.stage.start(AGGREGATOR)
    one.connect()
    one.play()
    one.finish()
    assert not loaded.exists()
    assert not caught.exists(), one.stage.log(AGGREGATOR)


def test_a_pickle_in_the_place_of_a_file_of_ours_is_not_loaded(light: Build, tmp_path: Path) -> None:
    """It is damage as any other."""
    loaded = tmp_path / "loaded"
    one = light(light_settings("east", "west"))
    one.open()
    one.play()
    one.report("east")
    one.kill()
    (upload,) = (one.work / "uploads" / "round-0002").glob("*.safetensors")
    replaced = [one.work / "agreement.json", one.work / "rounds" / "round-0001.safetensors", upload]
    for path in replaced:
        path.write_bytes(pickle.dumps(Touch(loaded)))
    one.stage.start(AGGREGATOR)
    one.connect()
    one.report("west")
    one.stage.wait_for(StateDamaged, lambda event: event.body.file == str(upload))
    one.play()
    assert not loaded.exists()
    assert sorted(event.body.file for event in one.stage.events(StateDamaged)) == sorted(map(str, replaced))
