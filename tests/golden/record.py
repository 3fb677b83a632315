"""Records anew what the tests here compare with: python -m tests.golden.record semantics|messages|models|logs

Numbers may be recorded once SEMANTICS was raised, or where there were none before. Messages may be recorded once the
minor number of PROTOCOL was raised; those of earlier versions stay. Before its first release a version's messages may
be recorded again. Model files and the molecules that they gave stay; a new format gets a file and its molecules.
Lines of the event logs stay: an event of a new kind is written after the last one.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from fedmol.fl.versions import SEMANTICS
from fedmol.training import load_model
from fedmol.training.model_description import FORMAT
from tests.golden import events, messages, models, semantics


def record_semantics() -> None:
    found = semantics.compute()
    if semantics.RECORDED.exists():
        expected = semantics.recorded()
        known = {name: value for name, value in found.items() if name in expected}
        changed = [one for one in semantics.differences(expected, known) if "None" not in one]
        if changed and expected["semantics"] == SEMANTICS:
            sys.exit("results have changed: raise SEMANTICS first\n" + "\n".join(changed))
    semantics.RECORDED.write_text(json.dumps({"semantics": SEMANTICS, **found}, indent=1) + "\n")


def record_messages() -> None:
    folder = messages.folder()
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in messages.examples().items():
        (folder / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")


def record_models() -> None:
    if not models.path_of(FORMAT).exists():
        models.train_one(models.path_of(FORMAT), models.PROPERTIES)
    found = models.recorded() if models.MOLECULES.exists() else {}
    for path in sorted(models.RECORDED.glob("*.safetensors")):
        if path.name not in found:
            found[path.name] = models.molecules_of(load_model(path))
    models.MOLECULES.write_text(json.dumps(found, indent=1) + "\n")


def record_logs() -> None:
    for name in events.LOGS:
        path = events.FOLDER / f"{name}.jsonl"
        with tempfile.TemporaryDirectory() as folder:
            written = events.written(name, Path(folder))
        if not written.startswith(path.read_bytes()):
            sys.exit(f"{path} would change: write events of a new kind after the last one")
        path.write_bytes(written)


if __name__ == "__main__":
    {"semantics": record_semantics, "messages": record_messages, "models": record_models, "logs": record_logs}[
        sys.argv[1]
    ]()
