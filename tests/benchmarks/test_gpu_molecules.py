from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.gpu import __main__ as command
from benchmarks.gpu import molecules
from fedmol.errors import Exit, FedmolError
from fedmol.graphs import Graphs


@pytest.mark.parametrize("content", [None, b"", b"\x08\0\0\0\0\0\0\0{}garbage", b"CCO\n"])
def test_molecules_that_are_missing_or_damaged_are_named(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "qm9.safetensors"
    if content is not None:
        path.write_bytes(content)
    assert command.main(["--small", "--out", str(tmp_path / "run"), "--molecules", str(path)]) == Exit.BAD_DATA
    error = capsys.readouterr().err
    assert str(path) in error
    assert "make gpu-molecules" in error


Spoil = Callable[[Graphs], Graphs]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda graphs: graphs[:0], "do not fit together"),
        (lambda graphs: graphs[:5], "fewer than 64"),
        (lambda graphs: replace(graphs, atoms=graphs.atoms + 8), "atoms that the vocabulary"),
        (lambda graphs: replace(graphs, bonds=graphs.bonds + 4), "bonds that the vocabulary"),
        (lambda graphs: replace(graphs, counts=graphs.counts * 0), "molecules of no atoms"),
        (lambda graphs: replace(graphs, counts=graphs.counts + 9), "more than 9"),
        (lambda graphs: replace(graphs, counts=graphs.counts[1:]), "do not fit together"),
    ],
)
def test_molecules_that_are_none_are_refused(spoil: Spoil, reason: str, encoded: Path, tmp_path: Path) -> None:
    good = molecules.load(encoded)
    molecules.save(tmp_path / "file", replace(good, test=spoil(good.test)))
    with pytest.raises(FedmolError) as refused:
        molecules.load(tmp_path / "file")
    assert refused.value.exit is Exit.BAD_DATA
    assert reason in refused.value.message


@pytest.mark.parametrize("change", [{"vocabulary": "qm9"}, {"atom_types": 4}, {"max_atoms": 0}, {"source": "mine"}])
def test_molecules_of_another_vocabulary_are_refused(change: dict[str, Any], encoded: Path, tmp_path: Path) -> None:
    molecules.save(tmp_path / "file", replace(molecules.load(encoded), **change))
    with pytest.raises(FedmolError, match="not those of the vocabulary qm9-charged"):
        molecules.load(tmp_path / "file")


def test_molecules_come_back_as_they_were(tmp_path: Path) -> None:
    made = molecules.encode("embedded")
    molecules.save(tmp_path / "file", made)
    read = molecules.load(tmp_path / "file")
    for part in ("training", "test"):
        before, after = getattr(made, part), getattr(read, part)
        assert all(torch.equal(getattr(before, key), getattr(after, key)) for key in ("atoms", "bonds", "counts"))
    assert read.vocabulary == molecules.VOCABULARY
    assert len(read.test) == -(-(len(read.training) + len(read.test)) // 10)
