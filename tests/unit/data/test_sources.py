from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import NoReturn

import pytest
from rdkit import Chem

import fedmol.data.sources as sources
from fedmol.data.embedded import embedded
from fedmol.data.sources import Original, load
from fedmol.errors import Exit, FedmolError
from fedmol.settings import DataSettings

QM9 = DataSettings(source="qm9")
STANDIN = b"mol_id,smiles,mu\ngdb_1,C,0\ngdb_2,N,1\ngdb_3,O,2\n"


@pytest.fixture
def standin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three molecules in the place of QM9's original, with a URL that works without a network."""
    path = tmp_path / "remote" / "qm9.csv"
    path.parent.mkdir()
    path.write_bytes(STANDIN)
    digest = hashlib.sha256(STANDIN).hexdigest()
    monkeypatch.setattr(sources, "QM9", Original(path.as_uri(), "qm9.csv", digest))
    monkeypatch.delenv("FEDMOL_DATA", raising=False)
    return path


def test_embedded_molecules_are_many_different_and_of_the_promised_kind() -> None:
    smiles = embedded()
    mols = [Chem.MolFromSmiles(one) for one in smiles]
    assert 4000 <= len(smiles) <= 5000
    assert len(set(smiles)) == len(smiles)
    assert [Chem.MolToSmiles(mol) for mol in mols] == list(smiles)
    sizes = Counter(mol.GetNumAtoms() for mol in mols)
    assert set(sizes) == {4, 5, 6, 7, 8, 9}
    assert max(sizes.values()) < len(smiles) / 2
    assert {atom.GetSymbol() for mol in mols for atom in mol.GetAtoms()} == {"C", "N", "O", "F"}
    assert sum(mol.GetRingInfo().NumRings() > 0 for mol in mols) > len(mols) / 2


def test_embedded_molecules_never_change() -> None:
    """A change of this digest changes every figure measured on the embedded data."""
    assert (
        hashlib.sha256("\n".join(embedded()).encode()).hexdigest()
        == "49b77d0f220a7d9ef192514aed35a547497cdac35655172f5c4c5bb1e3f4b3ba"
    )


def test_limit_draws_from_the_whole_source() -> None:
    table = load(DataSettings(limit=50), seed=3)
    assert len(table) == 50
    assert max(table.lines) > len(embedded()) / 2
    assert table == load(DataSettings(limit=50), seed=3) != load(DataSettings(limit=50), seed=4)
    assert all(embedded()[line - 2] == one for line, one in zip(table.lines, table.smiles, strict=True))


def test_a_path_is_read_as_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("structure\nCC\nCO\n")
    assert load(DataSettings(source=str(path), column="structure")).smiles == ("CC", "CO")
    with pytest.raises(FedmolError, match="there is no file qm8"):
        load(DataSettings(source="qm8"))


def test_qm9_is_downloaded_once_and_then_cached(standin: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert load(QM9, cache).smiles == ("C", "N", "O")
    standin.unlink()
    assert load(QM9, cache).smiles == ("C", "N", "O")


def test_cache_lies_where_the_desktop_standard_says(
    standin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    load(QM9)
    assert (tmp_path / "xdg" / "fedmol" / "qm9.csv").read_bytes() == STANDIN


def test_folder_of_the_environment_comes_first(standin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDMOL_DATA", str(standin.parent))
    assert load(QM9, tmp_path / "cache").source == "qm9"
    assert not (tmp_path / "cache").exists()


def test_file_that_is_not_qm9_is_refused(standin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    standin.write_bytes(STANDIN.replace(b"N", b"F"))
    with pytest.raises(FedmolError, match="checksum differs") as caught:
        load(QM9, tmp_path / "cache")
    assert caught.value.exit is Exit.BAD_DATA
    assert not (tmp_path / "cache" / "qm9.csv").exists()
    monkeypatch.setenv("FEDMOL_DATA", str(standin.parent))
    with pytest.raises(FedmolError, match="is not QM9"):
        load(QM9, tmp_path / "cache")


def test_without_a_network_the_cure_is_named(standin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> NoReturn:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    with pytest.raises(FedmolError, match="could not be downloaded") as caught:
        load(QM9, tmp_path / "cache")
    assert "FEDMOL_DATA" in caught.value.cure
    assert "embedded" in caught.value.cure
