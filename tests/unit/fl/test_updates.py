"""A stored update is read block by block, and believed once its digest is right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3
from safetensors.numpy import save_file

from fedmol.fl import updates as module
from fedmol.fl.payload import MODEL, Section, Vector
from fedmol.fl.updates import LONGEST_HEADER, DamagedUpdate, Update, aligned

SECTION = Section(MODEL, 10)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 4)


def _stored(folder: Path, site: str = "a", first: float = 0.0) -> Update:
    """As `fedmol.fl.uploads` stores one."""
    values = np.arange(first, first + SECTION.length, dtype=np.float32)
    path = folder / f"{site}.safetensors"
    save_file({MODEL: values}, path)
    return Update(site, 0.5, 0.5, {MODEL: path}, {MODEL: blake3(values.tobytes()).hexdigest()})


def _values(update: Update) -> list[list[float]]:
    return [block.tolist() for block in update.blocks(SECTION)]


def test_an_update_comes_in_blocks_from_its_start(tmp_path: Path) -> None:
    assert _values(_stored(tmp_path)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_the_same_stretch_of_every_update_comes_at_a_time(tmp_path: Path) -> None:
    updates = [_stored(tmp_path, "a"), _stored(tmp_path, "b", first=100.0)]
    found = [
        (part.start, part.stop, [block.tolist() for block in blocks]) for part, blocks in aligned(updates, SECTION)
    ]
    assert found == [
        (0, 4, [[0, 1, 2, 3], [100, 101, 102, 103]]),
        (4, 8, [[4, 5, 6, 7], [104, 105, 106, 107]]),
        (8, 10, [[8, 9], [108, 109]]),
    ]


def _shorter(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"!")


def _long_header(path: Path) -> None:
    """A header that says to be longer than any may be, in a file of the right size for it."""
    length = LONGEST_HEADER + 8
    path.write_bytes(length.to_bytes(8, "little") + bytes(length + SECTION.nbytes))


@pytest.mark.parametrize(
    "damage",
    [Path.unlink, _shorter, _longer, _long_header, lambda path: path.write_bytes(b"")],
    ids=["missing", "shorter", "longer", "long-header", "empty"],
)
def test_a_file_of_another_size_gives_nothing(tmp_path: Path, damage: object) -> None:
    update = _stored(tmp_path)
    assert callable(damage)
    damage(update.files[MODEL])
    with pytest.raises(DamagedUpdate) as damaged:
        next(update.blocks(SECTION))
    assert (damaged.value.site, damaged.value.path) == ("a", update.files[MODEL])


@pytest.mark.parametrize("place", [-1, -SECTION.nbytes])
def test_values_that_are_not_what_was_received_are_noticed_at_the_end(tmp_path: Path, place: int) -> None:
    update = _stored(tmp_path)
    content = bytearray(update.files[MODEL].read_bytes())
    content[place] ^= 1
    update.files[MODEL].write_bytes(content)
    blocks: list[Vector] = []
    with pytest.raises(DamagedUpdate, match="its digest is not that of what was received"):
        blocks.extend(update.blocks(SECTION))
    assert len(blocks) == 3
