"""Atoms of a molfile that stand for others: what is drawn as Ph or R1 is not the one atom that the file has there.

An abbreviation whose atoms are all in the file (a superatom, as most programs write it) is none of these.
Source: CTfile Formats, BIOVIA 2020: atom block, aliases (A), group abbreviations (G), Sgroups of the type SUP.
"""

from __future__ import annotations

import re

from rdkit import Chem

from fedmol.chem.normal_form import RejectedError

STANDS_FOR_OTHERS = "an atom that stands for others"

_PLAIN = re.compile(r"[A-Z][A-Za-z]{0,5}[0-9#]?|\*")  # labels that are shown
_GROUP = re.compile(r"G  [ \d]{2}\d[ \d]{2}\d\s*")
_ATOM_LINE_V3000 = re.compile(r"M  V30 \d+ (\S+) +-?\d")
_ELEMENTS = frozenset(Chem.GetPeriodicTable().GetElementSymbol(number) for number in range(1, 119)) | {"D", "T"}
_HEAD = 4  # lines before the first atom


def check(mol: Chem.Mol, block: list[str]) -> None:
    """Looks at a sanitised molecule and the lines that it was read from.

    Raises:
        RejectedError: one of its atoms stands for others; the reason names it.
    """
    for atom in mol.GetAtoms():
        if not atom.GetAtomicNum() or atom.HasProp("_MolFileAtomQuery"):
            raise RejectedError(_reason(atom.GetProp("dummyLabel") if atom.HasProp("dummyLabel") else "*"))
        if atom.HasProp("molFileAlias"):
            _check_label(atom, atom.GetProp("molFileAlias"))
    for group in Chem.GetMolSubstanceGroups(mol):
        members = list(group.GetAtoms())
        if group.GetProp("TYPE") == "SUP" and group.HasProp("LABEL") and len(members) == 1:
            _check_label(mol.GetAtomWithIdx(members[0]), group.GetProp("LABEL"))
    for number, line in enumerate(block[_HEAD:-1], start=_HEAD):
        if line.startswith("M  END"):
            break
        if _GROUP.fullmatch(line):
            raise RejectedError(_reason(block[number + 1]))


def unknown_symbol(block: list[str]) -> str | None:
    """The reason why RDKit does not read a record with a symbol in it that is no element; None if it has none."""
    count = block[_HEAD - 1][:3].strip() if len(block) >= _HEAD else ""
    written = [line[31:34].strip() for line in block[_HEAD : _HEAD + int(count)]] if count.isdecimal() else []
    written += [found[1] for found in map(_ATOM_LINE_V3000.match, block) if found]
    return next((_reason(symbol) for symbol in written if _PLAIN.fullmatch(symbol) and symbol not in _ELEMENTS), None)


def _check_label(atom: Chem.Atom, label: str) -> None:
    """A label may say the atom itself, with its hydrogens or without: CH3, H3C, C or Me."""
    symbol, hydrogens = atom.GetSymbol(), atom.GetTotalNumHs(includeNeighbors=True)
    sign = {1: "+", -1: "-"}.get(atom.GetFormalCharge(), "")
    counted = {0: "", 1: "H"}.get(hydrogens, f"H{hydrogens}")
    itself = {"", symbol, symbol + sign, symbol + counted + sign, counted + symbol + sign}
    if (symbol, hydrogens, sign) == ("C", 3, ""):
        itself.add("Me")
    if label.strip() not in itself:
        raise RejectedError(_reason(label))


def _reason(label: str) -> str:
    label = label.strip()
    return f"{STANDS_FOR_OTHERS}: {label if _PLAIN.fullmatch(label) else 'with another text as its label'}"
