"""Damaged settings, manifests, signed changes and model files: each is used or refused by name."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from fedmol import zoo
from fedmol.errors import Exit, FedmolError
from fedmol.fl.changes import Change, Changes, read_signed, sign
from fedmol.fl.federation import dump, load, parse
from fedmol.fl.run_manifest import manifest_of, settings_of
from fedmol.pki import certificates
from fedmol.training.model_file import load_model
from tests.fuzz.mutations import altered, damaged
from tests.fuzz.target import MemoryBound

_TRIALS = 60


def fuzz(work: Path, chance: random.Random, expected: bytes) -> int:
    """Each kind of file by turns; the number of files that were tried."""
    work.mkdir(parents=True)
    memory = MemoryBound()
    settings = parse({"sites": [{"name": "north"}, {"name": "south"}], "strategy": "fedadam"}, "fuzz")
    document, manifest = yaml.safe_load(dump(settings)), manifest_of("r", settings)
    certificates.make_ca(work / "ca", "fuzz", timedelta(days=1))
    change = Change(run="r", number=1, previous=Changes(manifest).digest, round=2, quorum=1)
    signed = json.loads(sign(change, work / "ca" / "ca.key", None).model_dump_json())
    model = zoo.shipped().read_bytes()
    for _ in range(_TRIALS):
        _settings(work / "federation.yaml", document, chance)
        _refused(partial(settings_of, altered(manifest, chance)), Exit.STATE_UNUSABLE)
        _change(work, altered(signed, chance), signed, manifest, chance)
        _model(work / "model.safetensors", model, chance)
    memory.check()
    return 4 * _TRIALS


def _refused(call: Callable[[], object], *exits: Exit) -> str | None:
    """What the refusal says, None where there was none; any other error is a find."""
    try:
        call()
    except FedmolError as refusal:
        if refusal.exit not in exits:
            raise
        return refusal.message
    return None


def _settings(path: Path, document: Any, chance: random.Random) -> None:
    content = json.dumps(altered(document, chance)).encode()  # which is YAML, too
    path.write_bytes(damaged(content, chance) if chance.random() < 0.5 else content)
    said = _refused(lambda: load(path), Exit.BAD_SETTINGS)
    assert said is None or str(path) in said


def _change(work: Path, given: Any, honest: Any, manifest: Any, chance: random.Random) -> None:
    path, changes = work / "0001.json", Changes(manifest)
    content = json.dumps(given).encode()
    path.write_bytes(damaged(content, chance) if chance.random() < 0.5 else content)
    said = _refused(
        lambda: changes.take(read_signed(path), work / "ca" / "ca.crt"), Exit.CHANGE_REFUSED, Exit.CERTIFICATE_FOREIGN
    )
    assert [one.document for one in changes.signed] == ([honest["document"]] if said is None else [])


def _model(path: Path, content: bytes, chance: random.Random) -> None:
    """Damage to the header, where the structure is, or anywhere."""
    length = 8 + int.from_bytes(content[:8], "little")
    if chance.random() < 0.3:
        header = json.loads(content[8:length])
        described = json.loads(header["__metadata__"]["fedmol"])
        header["__metadata__"]["fedmol"] = json.dumps(altered(described, chance))
        text = json.dumps(header if chance.random() < 0.7 else altered(header, chance)).encode()
        bad = len(text).to_bytes(8, "little") + text + content[length:]
    else:
        bad = damaged(content[:length], chance) + content[length:]
    path.write_bytes(bad)
    _refused(lambda: load_model(path), Exit.BAD_MODEL)
