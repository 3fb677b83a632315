"""Text -> molecule: the one normal form of everything that fedmol reads, and a reason for everything it refuses.

A molecule in normal form has heavy atoms with their charges, bonds, and the hydrogens that are left implicit. Stereo,
isotopes and atom maps are dropped, and hydrogens that are written as atoms become implicit. `Molecule.dropped` tells
what of this said something, because two substances may have become one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rdkit import Chem

EMPTY = "empty cell"
SYNTAX = "not a SMILES"
INCHI = "an InChI, not a SMILES"
INCHI_KEY = "an InChIKey, not a SMILES"
REACTION = "a reaction, not a molecule"
TEXT_AFTER = "text after the SMILES"
EXTENSION = "CXSMILES extension that cannot be read"
VALENCE = "impossible valence"
KEKULE = "aromatic ring that cannot be kekulised"
AROMATIC = "aromatic bond outside an aromatic ring"
FRAGMENTS = "more than one fragment (salt, solvate or mixture)"
NOT_ONE = "not one molecule (polymer, repeat or variable attachment)"
NO_ATOM = "no heavy atom"
HUGE = "too large to be looked at"

STEREO, ISOTOPES, ATOM_MAPS = "stereo", "isotopes", "atom maps"
MOST_ATOMS = 1000  # heavy atoms; what is larger is no small molecule, and takes RDKit minutes

_LONG = 4 * MOST_ATOMS  # characters, from which on atoms are counted before anything slower is done
_MARKED = re.compile(r"\[\d|\[H|:\d+\]")  # isotopes, hydrogens as atoms, atom maps
_STEREO = frozenset("@/\\")
_OTHER_NOTATIONS = {  # of texts that are no SMILES; an arrow of a dative bond is none of a reaction
    INCHI: re.compile(r"InChI="),
    INCHI_KEY: re.compile(r"[A-Z]{14}-[A-Z]{10}-[A-Z]\Z"),
    REACTION: re.compile(r"(?:[^>]|(?<=-)>)*(?<!-)>.*>"),
}
_MANY = frozenset({"SRU", "MON", "MER", "COP", "CRO", "MOD", "GRA", "COM", "MIX", "FOR", "ANY"})  # of CTfile's Sgroups


class RejectedError(Exception):
    """Carries the reason why a text is no molecule that fedmol takes."""


@dataclass(frozen=True, slots=True)
class Molecule:
    """A sanitised molecule in normal form, with its canonical SMILES.

    `original` is the canonical SMILES with the stereo and isotopes that were dropped, or `smiles` if there were none.
    """

    mol: Chem.Mol
    smiles: str
    original: str
    dropped: tuple[str, ...]


def read(text: str, fragments: bool = False) -> Molecule:
    """The molecule that a SMILES or CXSMILES says.

    Raises:
        RejectedError: what is wrong with it. More than one fragment is wrong unless `fragments` are allowed.

    Example:
        >>> read("[2H]O[C@H](F)Cl").smiles
        'OC(F)Cl'
    """
    mol = _parse(text)
    marked = "|" in text or _MARKED.search(text) is not None
    stereo = not _STEREO.isdisjoint(text)
    dropped = []
    if marked and any(atom.GetAtomMapNum() for atom in mol.GetAtoms()):
        dropped.append(ATOM_MAPS)
        for atom in mol.GetAtoms():
            atom.SetAtomMapNum(0)
    if "." in text and not fragments and len(Chem.GetMolFrags(mol)) > 1:
        raise RejectedError(FRAGMENTS)
    original = str(Chem.MolToSmiles(mol)) if stereo or marked else ""
    if marked and any(atom.GetIsotope() for atom in mol.GetAtoms()):
        dropped.append(ISOTOPES)
        for atom in mol.GetAtoms():
            atom.SetIsotope(0)
    if not _STEREO.isdisjoint(original):
        dropped.append(STEREO)
        Chem.RemoveStereochemistry(mol)
    if marked:
        mol = Chem.RemoveHs(mol, _HYDROGENS)
    if not mol.GetNumHeavyAtoms():
        raise RejectedError(NO_ATOM)
    smiles = str(Chem.MolToSmiles(mol, isomericSmiles=False))
    if ":" in smiles:  # an acetate with two half bonds, say: RDKit neither kekulises nor refuses these
        raise RejectedError(AROMATIC)
    return Molecule(mol, smiles, original if {STEREO, ISOTOPES} & set(dropped) else smiles, tuple(dropped))


def is_smiles(text: str) -> bool:
    """True if RDKit can parse the first word, whatever it thinks of the chemistry."""
    words = text.split(maxsplit=1)
    return bool(words) and Chem.MolFromSmiles(words[0], _LOOSE) is not None


def _hydrogens() -> Chem.RemoveHsParameters:
    """All hydrogens but those between two atoms: also such as only stereo had kept."""
    how = Chem.RemoveHsParameters()
    how.removeDefiningBondStereo = True  # type: ignore[assignment]
    how.removeWithWedgedBond = True  # type: ignore[assignment]
    return how


def _without_sanitising() -> Chem.SmilesParserParams:
    how = Chem.SmilesParserParams()
    how.sanitize = False  # type: ignore[assignment]
    return how


_HYDROGENS, _LOOSE = _hydrogens(), _without_sanitising()


def _parse(text: str) -> Chem.Mol:
    words = text.split(maxsplit=1)
    if not words:
        raise RejectedError(EMPTY)
    if len(words) > 1 and not words[1].startswith("|"):  # RDKit would take it for a name
        raise RejectedError(TEXT_AFTER if Chem.MolFromSmiles(words[0], _LOOSE) is not None else _no_smiles(words[0]))
    if len(text) > _LONG:
        check_size(Chem.MolFromSmiles(words[0], _LOOSE))
    mol = Chem.MolFromSmiles(text)
    if mol is None:
        raise RejectedError(_fault(text, words))
    check_size(mol)
    check_one(mol, "|" in text)
    return mol


def check_size(mol: Chem.Mol | None) -> None:
    if mol is not None and mol.GetNumHeavyAtoms() > MOST_ATOMS:
        raise RejectedError(f"{HUGE} (more than {MOST_ATOMS:,} heavy atoms)")


def check_one(mol: Chem.Mol, groups: bool) -> None:
    """What stands for many molecules is none of them, also where RDKit would go on with one of its units."""
    if groups and (
        any(group.GetProp("TYPE") in _MANY for group in Chem.GetMolSubstanceGroups(mol))
        or mol.HasProp("_molLinkNodes")
        or any(bond.HasProp("_MolFileBondEndPts") for bond in mol.GetBonds())
    ):
        raise RejectedError(NOT_ONE)


def _fault(text: str, words: list[str]) -> str:
    """Why RDKit does not read it."""
    mol = Chem.MolFromSmiles(words[0], _LOOSE)
    if mol is None:
        return _no_smiles(words[0])
    if len(words) > 1 and Chem.MolFromSmiles(text, _LOOSE) is None:
        return EXTENSION
    return fault(mol)


def _no_smiles(text: str) -> str:
    """What it is instead."""
    return next((what for what, form in _OTHER_NOTATIONS.items() if form.match(text)), SYNTAX)


def fault(mol: Chem.Mol) -> str:
    """Why RDKit does not sanitise the molecule."""
    for problem in Chem.DetectChemistryProblems(mol):
        if problem.GetType() == "AtomValenceException":
            return f"{VALENCE}: {mol.GetAtomWithIdx(problem.GetAtomIdx()).GetSymbol()}"
        if problem.GetType() in ("KekulizeException", "AtomKekulizeException"):
            return KEKULE
    return SYNTAX
