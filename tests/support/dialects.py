"""Files of molecules as other programs write them, and what is read of each. docs/molecules.md lists them by name."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
from backports import zstd
from rdkit import Chem

PLAIN = "id,smiles\n1,CCO\n2,CCN\n"
CCO_CCN = ("CCO", "CCN")


@dataclass(frozen=True)
class Dialect:
    """A file, and what `read_table` must make of it: SMILES, lines, faults by line, and blank rows."""

    row: str  # of the table in the documentation
    content: bytes
    name: str = "site.csv"
    column: str = "smiles"
    smiles: tuple[str, ...] = CCO_CCN  # of the rows without a fault
    lines: tuple[int, ...] | None = None
    faults: dict[int, str] = field(default_factory=dict)
    blank: int = 0


def text(row: str, content: str, name: str = "site.csv", **expected: object) -> Dialect:
    return Dialect(row, content.encode(), name, **expected)  # type: ignore[arg-type]


def zipped(**members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)
    return buffer.getvalue()


def structures(*smiles: str, v3000: bool = False) -> str:
    blocks = [Chem.MolToMolBlock(Chem.MolFromSmiles(one), forceV3000=v3000) for one in smiles]
    return "".join(f"{block}> <activity>\n5\n\n$$$$\n" for block in blocks)


def labelled(lines: str, smiles: str = "CCO") -> str:
    """A structure with more lines among its properties."""
    return structures(smiles).replace("M  END", f"{lines}\nM  END")


def parquet(*smiles: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as database:
        rows = ", ".join(f"('{one}', {number})" for number, one in enumerate(smiles))
        database.execute(f"COPY (SELECT * FROM (VALUES {rows}) AS t(smiles, id)) TO '{folder}/t' (FORMAT parquet)")
        return Path(folder, "t").read_bytes()


DIALECTS = [
    text("commas", PLAIN, lines=(2, 3)),
    text("tabs", "id\tsmiles\n1\tCCO\n2\tCCN\n", "site.tsv"),
    text("commas, CR CR LF", "id,smiles\r\r\n1,CCO\r\r\n2,CCN\r\r\n", lines=(2, 3)),
    text("semicolons, CRLF", "id;smiles\r\n1;CCO\r\n2;CCN\r\n"),
    text("bars", "id|smiles\n1|CCO\n2|CCN\n", "export.txt"),
    text("line ends of old Macs (CR)", "id,smiles\r1,CCO\r2,CCN\r", lines=(2, 3)),
    text("a first line `sep=;`", "sep=;\nid;smiles\n1,5;CCO\n2,5;CCN\n", lines=(3, 4)),
    text("two separators in the header", "IC50 (nM, mean);smiles\n5,1;CCO\n6,1;CCN\n"),
    Dialect("a byte order mark", b"\xef\xbb\xbfsmiles,id\nCCO,1\nCCN,2"),
    Dialect("UTF-16 with a mark", PLAIN.encode("utf-16")),
    Dialect("UTF-16 without a mark", PLAIN.encode("utf-16-be")),
    Dialect("an old code page", "smiles,name\nCCO,äthanol\nCCN,µ\n".encode("cp1252")),
    text("a padded header in capitals", " SMILES ,id\n CCO ,1\nCCN,2\n"),
    text("a header that is repeated", "smiles,id\nCCO,1\nSMILES,ID\nCCN,2\n", faults={3: "the header once more"}),
    text("a line break in the header", '"IC50\n(nM)",smiles\n5,CCO\n6,CCN\n', lines=(3, 4)),
    text("comments above the header", "# SMILES by a tool\n# on Monday\nsmiles,id\nCCO,1\nCCN,2\n", lines=(4, 5)),
    text("line breaks in cells", 'note,smiles\n"two\nlines",CCO\n"three\n\nlines",CCN\n', lines=(2, 4)),
    text("line breaks after SMILES (ZINC)", 'smiles,logP,qed\n"CCO\n",5.0,0.7\n"CCN\n",5.1,0.8\n', lines=(2, 4)),
    text("a last cell of several lines", 'id,smiles,note\n1,CCO,"one\ntwo, and three"\n2,CCN,\n', lines=(2, 4)),
    text("quotes within quotes", 'name,smiles\n"the ""good"" one, dried",CCO\nx,CCN\n'),
    text(
        "names with quotes in them", 'name\tsmiles\n"5-deoxy compound\tCCO\n2,2\',2"\tCCN\n', "site.tsv", lines=(2, 3)
    ),
    text("a quote too many", 'name,smiles\n"the "good" one",CCO\nx"y,CCN\n'),
    text(
        "quotes that could mean two things",
        'id,smiles,note\n1,CCC,"one\nsee N, N, too"\n2,CCO,\n3,CCN,\n',
        faults={2: "quotes that do not close", 3: "quotes that do not close"},
    ),
    text(
        "a line break in a cell that could be one between rows",
        'smiles,note\nCCC,"first\nCCCC,was here"\nCCO,x\nCCN,y\n',
        faults={2: "quotes that do not close", 3: "quotes that do not close"},
    ),
    text(
        "the same after a cell in quotes",
        '"smiles","note"\n"CCO","first\nCCCC,was here"\n"CCN","no, NO\nN, not now"\n',
        lines=(2, 4),
    ),
    text(
        "several rows between quotes in names",
        'name,smiles\n"5-deoxy,CCO\nx,CCCO\ny,CCCN\n2",CCN\n',
        smiles=("CCO", "CCCO", "CCCN", "CCN"),
    ),
    text(
        "ditto marks",
        'name\tsmiles\nx\tCCO\n"\tCCCO\ny\tCCN\n"\tCCCN\n',
        "site.tsv",
        smiles=("CCO",),
        faults=dict.fromkeys((3, 4, 5), "quotes that do not close"),
    ),
    text("a quote that never closes", 'name,smiles\n"a,b,CCC\nx,CCO\n"y,CCN\n', faults={2: "quotes that do not close"}),
    text(
        "names with commas and without quotes",
        "name,smiles\nN,N,O-trimethylhydroxylamine,CN(C)OC\nx,CCO\ny,CCN\n",
        faults={2: "4 fields where the header has 2"},
    ),
    text(
        "names with commas before empty cells",
        "name,smiles,cas,note\nAmine, N,CCN,,\nx,CCO,,\ny,CCN,,\n",
        faults={2: "5 fields where the header has 4"},
    ),
    text(
        "too few fields", "name,smiles,unit\nCCC,N\nx,CCO,nM\ny,CCN,nM\n", faults={2: "2 fields where the header has 3"}
    ),
    text("separators at the end of rows", "smiles,name\nCCO,a,,\nCCN,b,\n"),
    text("blank rows", "smiles,name\n\nCCO,a\n,\n  \nCCN,b\n,,,\n\n", blank=5, lines=(3, 6)),
    text("an index without a name (pandas)", ",smiles\n0,CCO\n1,CCN\n"),
    text("numbered rows without a name (R)", '"smiles","id"\n"1","CCO",5\n"2","CCN",6\n'),
    text("extended SMILES in one column", "smiles\nCCO |$a,b;;$|\nCCN\n", smiles=("CCO |$a,b;;$|", "CCN")),
    text(
        "canonical_smiles (ChEMBL)", "chembl_id\tcanonical_smiles\tinchi\nC1\tCCO\tI,1\nC2\tCCN\tI,2\n", "chemreps.txt"
    ),
    text("several columns of SMILES", "cid,IsomericSMILES,CanonicalSMILES\n1,OCC,CCO\n2,NCC,CCN\n"),
    text("a column named on the command line", "a,b\nC,CCO\nC,CCN\n", column="b"),
    text("no header, a column named by number (PubChem)", "1\tCCO\n2\tCCN\n", "CID-SMILES", column="2", lines=(1, 2)),
    text(
        "a header, a column named by number",
        "id\tsmiles\n1\tCCO\n2\tCCN\n",
        "site.tsv",
        column="2",
        smiles=("smiles", "CCO", "CCN"),
        lines=(1, 2, 3),
    ),
    text("a header that is a SMILES, by number", "id,CO\n1,CCO\n", column="2", smiles=("CO", "CCO"), lines=(1, 2)),
    text("blank rows, a column named by number", "\n1,CCO\n\n2,CCN\n", column="2", blank=2, lines=(2, 4)),
    text("SMILES alone (GuacaMol)", "CCO\nCCN\n", "train.smiles", lines=(1, 2)),
    text("SMILES and split (MOSES)", "SMILES,SPLIT\nCCO,train\nCCN,test\n"),
    text("SMILES with names", "CCO ethanol, dried\n\nCCN\tethylamine\n", "site.smi", blank=1, lines=(1, 3)),
    text("SMILES with names and a header", "SMILES Name\nCCO ethanol\nCCN ethylamine\n", "SITE.SMI", lines=(2, 3)),
    text("SMILES with names after commas", "CCO,ethanol\nCCN;ethylamine\n", "site.smi"),
    text("SMILES first, then bars", "smiles|name\nCCO|a b\nCCN|c\n", "export.txt", lines=(2, 3)),
    text("SMILES with extensions", "CCO |&1:0| name\nCCN\n", "site.cxsmiles", smiles=("CCO |&1:0|", "CCN")),
    text("SDF, V2000", structures("CCO", "CCN"), "site.sdf", lines=(1, 15)),
    text("SDF, V3000", structures("CCO", "CCN", v3000=True), "site.sdf"),
    text("SDF by another name", structures("CCO", "CCN"), "site.csv"),
    text(
        "SDF with a damaged record",
        structures("CCO") + "\n\n\n  x\nM  END\n$$$$\n" + structures("CCN"),
        "site.sdf",
        faults={15: "structure that cannot be read"},
    ),
    text(
        "SDF whose records lack their end",
        structures("CCO") + structures("CCC").replace("$$$$\n", "") + structures("N") + structures("CCN"),
        "site.sdf",
        faults={15: "structure that cannot be read"},
    ),
    text("SDF, CR CR LF", structures("CCO", "CCN").replace("\n", "\r\r\n"), "site.sdf", lines=(1, 15)),
    text(
        "SDF with abbreviations whose atoms are there",
        labelled("M  STY  1   1 SUP\nM  SAL   1  2   2   3\nM  SMT   1 EtOH") + labelled("A    1\nH3C", "CCN"),
        "site.sdf",
    ),
    text(
        "SDF with methyl groups labelled Me",
        labelled("M  STY  1   1 SUP\nM  SAL   1  1   1\nM  SMT   1 Me") + labelled("A    2\nMe", "CCN"),
        "site.sdf",
        smiles=("CCO",),
        faults={18: "an atom that stands for others: Me"},
    ),
    text(
        "SDF with aliases, group abbreviations, or labels in place of atoms",
        structures("CCO")
        + labelled("A    1\nPh")
        + labelled("G    1  2\nBoc")
        + labelled("M  STY  1   1 SUP\nM  SAL   1  1   1\nM  SMT   1 Ph")
        + structures("CCO").replace(" O  ", " Ph ")
        + structures("CCO").replace(" O  ", " R1 ")
        + labelled("A    1\nsee page 5, below")
        + structures("CCN"),
        "site.sdf",
        faults={
            15: "an atom that stands for others: Ph",
            31: "an atom that stands for others: Boc",
            47: "an atom that stands for others: Ph",
            64: "an atom that stands for others: Ph",
            78: "an atom that stands for others: R1",
            92: "an atom that stands for others: with another text as its label",
        },
    ),
    text("a table with molfiles in it", 'smiles,molfile\nCCO,"x\n\n\n  1  0  V2000\nM  END"\nCCN,"y\nM  END"\n'),
    Dialect("Parquet", parquet("CCO", "CCN"), "site.parquet", lines=(1, 2)),
    Dialect("gzip", gzip.compress(PLAIN.encode()), "site.csv.gz"),
    Dialect("gzip by another name", gzip.compress(PLAIN.encode())),
    Dialect("bzip2", bz2.compress(PLAIN.encode()), "site.csv.bz2"),
    Dialect("xz", lzma.compress(PLAIN.encode()), "site.csv.xz"),
    Dialect("zstandard", zstd.compress(PLAIN.encode()), "SITE.CSV.ZST"),
    Dialect("zip with one file", zipped(site_smi="CCO a\nCCN b\n"), "site.zip"),
]
