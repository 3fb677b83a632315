from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import duckdb
import pytest
from backports import zstd

from fedmol.data.molecule_files import read_table
from fedmol.data.sources import write_table
from fedmol.errors import Exit, FedmolError
from tests.support.dialects import structures

PLAIN = b"id,smiles\n1,CCO\n2,CCN\n"


def write(folder: Path, content: bytes, name: str = "site.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, PLAIN)
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("site.csv")
        member.size = len(PLAIN)
        archive.addfile(member, io.BytesIO(PLAIN))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"id,smiles\n", "has no rows"),
        (zipped("a.csv", "b.csv"), "zip archive with 2 files: a.csv, b.csv"),
        (zipped(), "zip archive without a file"),
        (zipped("[Content_Types].xml", "xl/workbook.xml"), "a spreadsheet"),
        (zipped("a.csv")[:-30], "damaged zip"),
        (lzma.compress(PLAIN)[:-9], "damaged xz"),
        (bz2.compress(PLAIN)[:-9], "damaged bzip2"),
        (zstd.compress(PLAIN)[:-3], "damaged zstandard"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"<!DOCTYPE html>\n<html>Please sign in</html>", "a page .HTML or XML., not a table"),
        (b"\n<!-- saved -->\n<table><tr><td>CCO</td></tr></table>", "a page .HTML or XML., not a table"),
        (b'[{"smiles": "CCO"}]', "is JSON"),
        (b"PAR1" + bytes(40), "damaged Parquet"),
        (gzip.compress(PLAIN)[:-9], "damaged gzip"),
        (gzip.compress(PLAIN)[:12] + b"\xff" * 20, "damaged gzip"),
        (bytes(range(256)), "not a text file"),
        ("smiles,name\nCCO,äthanol\nCCN,\0\n".encode("cp1252"), "not a text file: line 3 has the byte 0x00"),
        (tarred(), "a tar archive"),
        (gzip.compress(tarred()), "a tar archive"),
        (gzip.compress(gzip.compress(gzip.compress(PLAIN))), "packed more than 2 times over"),
        (PLAIN.decode().encode("utf-16")[:-1], "not a text file"),
        (b"smiles,smiles\nC,N\n", "more than one column"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",  # a gzip file holds the time
)
def test_what_cannot_be_read_says_why(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(FedmolError, match=message) as caught:
        read_table(write(tmp_path, content))
    assert caught.value.exit is Exit.BAD_DATA
    assert "site.csv" in caught.value.message
    assert caught.value.cure


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("{'smiles': 'CCO'} AS molecule", "no column 'smiles'; its columns are 'molecule'"),
        ("['CCO'] AS smiles", "column 'smiles' does not hold text but VARCHAR"),
        ("1 AS smiles", "column 'smiles' does not hold text but INTEGER"),
    ],
)
def test_columns_of_parquet_that_hold_no_text_are_named(tmp_path: Path, values: str, message: str) -> None:
    duckdb.sql(f"COPY (SELECT {values}) TO '{tmp_path}/site.parquet' (FORMAT parquet)")
    with pytest.raises(FedmolError, match=message):
        read_table(tmp_path / "site.parquet")


def test_parquet_that_does_not_say_that_its_bytes_are_text_is_read(tmp_path: Path) -> None:
    duckdb.sql(f"COPY (SELECT encode('CCO') AS smiles) TO '{tmp_path}/site.parquet' (FORMAT parquet)")
    assert read_table(tmp_path / "site.parquet").smiles == ("CCO",)


def test_wrong_column_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(FedmolError, match="no column 'SMILE'; its columns are 'id', 'smiles'"):
        read_table(write(tmp_path, PLAIN), "SMILE")


def test_columns_that_blanks_separate_are_refused_where_smiles_are_not_first(tmp_path: Path) -> None:
    with pytest.raises(FedmolError, match="separates its columns by blanks") as caught:
        read_table(write(tmp_path, b"code smiles\nC NC(CS)C(=O)O\n", "codes.txt"))
    assert caught.value.exit is Exit.BAD_DATA


def test_a_table_that_spells_the_mark_of_tar_where_tar_has_it_is_read(tmp_path: Path) -> None:
    start = b"smiles,name\nCCO,"
    table = read_table(write(tmp_path, start + b"x" * (257 - len(start)) + b"ustar dye\nCCN,b\n"))
    assert table.smiles == ("CCO", "CCN")


def test_a_column_that_only_looks_like_a_number_is_a_name(tmp_path: Path) -> None:
    with pytest.raises(FedmolError, match="no column '²'"):
        read_table(write(tmp_path, PLAIN), "²")


def test_a_column_of_structures_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, structures("CCO", "CCN").encode(), "site.sdf")
    assert len(read_table(path, " SMILES")) == 2
    for column in ("activity", "2"):
        with pytest.raises(FedmolError, match=f"structures .SDF., which have no column '{column}'") as caught:
            read_table(path, column)
        assert "--column" in caught.value.cure


def test_structures_are_read_as_they_would_be_without_the_short_cut(tmp_path: Path) -> None:
    path = write(tmp_path, structures("C" * 1001, "C" * 900).encode(), "site.sdf")
    table = read_table(path)
    assert table.faults == {0: "too large to be looked at (more than 1,000 heavy atoms)"}
    assert table.smiles[1] == "C" * 900


def test_a_column_that_is_not_there_is_named_in_text_files_too(tmp_path: Path) -> None:
    with pytest.raises(FedmolError, match="no column 'struct'"):
        read_table(write(tmp_path, b"code\tstructure\nCO\tc1ccccc1\n", "codes.txt"), "struct")


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(FedmolError, match="there is no file"):
        read_table(tmp_path / "nothing.csv")
    with pytest.raises(FedmolError, match="is a folder"):
        read_table(tmp_path)


def test_written_table_reads_back_cell_by_cell(tmp_path: Path) -> None:
    cells = ["CCO", 'a "quoted", cell', "CC |&1:0,f:1|", "N"]
    write_table(tmp_path / "out.csv", cells)
    assert list(read_table(tmp_path / "out.csv").smiles) == cells


def test_a_gzip_that_unfolds_a_thousand_times_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "molecules.smi"
    path.write_bytes(gzip.compress(b"C\n" * (80 << 20)))  # 160 MiB in 160 KiB
    tracemalloc.start()
    try:
        with pytest.raises(FedmolError, match="unfolds to more than") as refused:
            read_table(path)
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()
    assert refused.value.exit is Exit.BAD_DATA


@pytest.mark.parametrize("name", ["molecules.smi", "molecules.csv"])
def test_an_endless_line_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("smiles\nCC\n" + "C" * (3 << 20) + "\n")
    with pytest.raises(FedmolError, match="line 3") as refused:
        read_table(path)
    assert refused.value.exit is Exit.BAD_DATA


def test_a_pipe_and_a_device_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.smi")
    (tmp_path / "device.smi").symlink_to("/dev/zero")
    for name in ("pipe.smi", "device.smi"):
        with pytest.raises(FedmolError, match=name) as refused:
            read_table(tmp_path / name)
        assert refused.value.exit is Exit.BAD_DATA
