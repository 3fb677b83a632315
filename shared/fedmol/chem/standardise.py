"""One graph for one substance: salts, charged forms and tautomers of it written alike, by a named recipe.

The recipe `parent` takes a molecule in normal form through RDKit's MolStandardize:

1. functional groups are written in one way, and metals parted from what they form a salt with (Cleanup), but sulfoxides
   as S=O;
2. counter-ions and solvents go, see `fedmol.chem.counterions`; what is left must be one substance;
3. charges are neutralised where a hydrogen can do it (Uncharger), and of the tautomers RDKit's canonical one is taken
   (TautomerEnumerator). With step 1 this is done in turn until nothing changes: each can make room for another.

Atoms are numbered anew before every step, so that nothing depends on how the molecule came to be written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from functools import cache, lru_cache

from rdkit import Chem, rdBase
from rdkit.Chem.MolStandardize import rdMolStandardize as rd

from fedmol.chem.counterions import ACIDS, BASES, SOLVENTS, patterns
from fedmol.chem.normal_form import MOST_ATOMS, Molecule, RejectedError, read
from fedmol.chem.vocabulary import Recipe, Vocabulary

MIXTURE = "more than one substance, once counter-ions and solvents are removed"
METAL = "metal complex, or salt of a metal that is not a usual counter-ion"
INORGANIC = "salt or mixture without carbon"
UNSTANDARDISED = "RDKit cannot standardise it"

GROUPS, SALTS = "functional groups rewritten", "counter-ions or solvents removed"
ALL_LISTED = "one of several kept that all are listed as counter-ions or solvents"
CHARGES, TAUTOMER = "charges neutralised", "another tautomer taken"
MANY_TAUTOMERS = "tautomer left as written, as there are too many"

_TOLD = MANY_TAUTOMERS, ALL_LISTED  # whether or not they changed the molecule
# Of what accompanies a substance. Other metals make complexes, of which no ligand is the substance.
_OF_IONS = frozenset(
    ("H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "As", "Se", "Br", "I",
     "Li", "Na", "K", "Rb", "Cs", "Mg", "Ca", "Sr", "Ba", "Al", "Zn", "Ag", "Bi")
)  # fmt: skip
_SULFOXIDES = "sulfoxide\t[S+;X3:1]-[O-:2]>>[S+0:1]=[O+0:2]\n"
_MOST_TURNS = 10  # neutralise, canonical tautomer; two or three are needed


def standardised(molecule: Molecule, recipe: Recipe, most_atoms: int) -> tuple[Molecule, tuple[str, ...]]:
    """The molecule as the recipe writes it, and what this changed.

    What has more than `most_atoms` heavy atoms once it is a parent is left there: tautomers of large molecules take
    long, and no vocabulary of that size holds them.

    Raises:
        RejectedError: it is a mixture, or RDKit fails.

    Example:
        >>> from fedmol.chem.normal_form import read
        >>> molecule, changed = standardised(read("[NH3+]Cc1cccnc1O.[Cl-]", fragments=True), "parent", 42)
        >>> molecule.smiles, changed
        ('NCc1ccc[nH]c1=O', ('counter-ions or solvents removed', 'charges neutralised', 'another tautomer taken'))
    """
    if recipe == "none":
        return molecule, ()
    changed, smiles = list[str](), molecule.smiles
    try:
        for what, made in _steps(smiles, most_atoms):
            if (made != smiles or what in _TOLD) and what not in changed:
                changed.append(what)
            smiles = made
    except (ValueError, RuntimeError):  # RDKit's errors for molecules and for its own assumptions
        raise RejectedError(UNSTANDARDISED) from None
    if smiles == molecule.smiles:
        return molecule, tuple(change for change in changed if change in _TOLD)
    return replace(molecule, mol=_mol(smiles), smiles=smiles), tuple(changed)


def _steps(smiles: str, most_atoms: int) -> Iterator[tuple[str, str]]:
    """What each step is about, and the SMILES after it."""
    smiles = _written(_tools().clean(_mol(smiles)))
    yield GROUPS, smiles
    if "." in smiles:
        several = _organic(smiles)
        smiles = _parent(several)
        yield SALTS, smiles
        if "." in several and not _tools().unlisted(_mol(several)).GetNumAtoms():
            yield ALL_LISTED, smiles
    if _mol(smiles).GetNumHeavyAtoms() > most_atoms:
        return
    met = list[str]()
    while smiles not in met and len(met) < _MOST_TURNS:  # Cleanup, too, can change its own result
        met.append(smiles)
        smiles = _written(_tools().clean(_mol(smiles)))
        yield GROUPS, smiles
        smiles = _written(_tools().uncharge(_mol(smiles)))
        yield CHARGES, smiles
        found = _tools().tautomers.Enumerate(_mol(smiles))
        if found.status != rd.TautomerEnumeratorStatus.Completed:
            yield MANY_TAUTOMERS, smiles
            return
        smiles = _written(_tools().tautomers.PickCanonical(found))
        yield TAUTOMER, smiles
    yield TAUTOMER, min(met[met.index(smiles) :] if smiles in met else met)  # of a circle, one that all ways agree on


def _organic(smiles: str) -> str:
    """The different fragments with carbon, in an order of their own.

    Raises:
        RejectedError: there is none, or a metal among the others that is no counter-ion.
    """
    fragments = Chem.GetMolFrags(_mol(smiles), asMols=True)
    parts = {_written(part): {atom.GetSymbol() for atom in part.GetAtoms()} for part in fragments}
    if any(not elements <= _OF_IONS for elements in parts.values()):
        raise RejectedError(METAL)
    organic = [text for text, elements in parts.items() if "C" in elements]
    if not organic:
        raise RejectedError(INORGANIC)
    return ".".join(sorted(organic))


def _parent(smiles: str) -> str:
    """The one substance among the fragments.

    Raises:
        RejectedError: there is more than one.
    """
    left = smiles
    for remove in _tools().removers:
        left = _written(remove(_mol(left)))
    neutral = {_written(_tools().uncharge(_mol(part))): part for part in sorted(left.split("."), reverse=True)}
    if len(neutral) > 1:
        raise RejectedError(MIXTURE)
    return next(iter(neutral.values()))  # of equal ones that which has no brackets: it sorts first


def _mol(smiles: str) -> Chem.Mol:
    mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        raise ValueError(smiles)
    return mol


def _written(mol: Chem.Mol) -> str:
    return str(Chem.MolToSmiles(mol, isomericSmiles=False))


class _Tools:
    """RDKit's, made once in a process: reading their patterns takes longer than using them."""

    def __init__(self) -> None:
        self.sulfoxides = rd.NormalizerFromData(_SULFOXIDES, rd.CleanupParameters())
        acids, others = (rd.FragmentRemoverFromData(patterns(names)) for names in (ACIDS, BASES | SOLVENTS))
        self.removers = [acids.remove, rd.FragmentRemover().remove, others.remove]  # RDKit's own are acids and solvents
        self._all = rd.FragmentRemoverFromData(patterns(ACIDS | BASES | SOLVENTS), leave_last=False)
        self._all_of_rdkit = rd.FragmentRemover("", leave_last=False)
        self.uncharge = rd.Uncharger(canonicalOrder=True).uncharge
        self.tautomers = rd.TautomerEnumerator()

    def unlisted(self, mol: Chem.Mol) -> Chem.Mol:
        """What is left without all fragments that are listed."""
        return self._all_of_rdkit.remove(self._all.remove(mol))

    def clean(self, mol: Chem.Mol) -> Chem.Mol:
        """RDKit's Cleanup, less its charged sulfoxides: vocabularies of neutral atoms hold S=O."""
        return self.sulfoxides.normalize(rd.Cleanup(mol))


@cache
def _tools() -> _Tools:
    return _Tools()


def read_by(recipe: Recipe, text: str, most_atoms: int = MOST_ATOMS) -> tuple[Molecule, tuple[str, ...]]:
    """What a SMILES says, as the recipe writes it, and what this changed.

    Raises:
        RejectedError: see `fedmol.chem.normal_form.read` and `standardised`.
    """
    return standardised(read(text, fragments=recipe != "none"), recipe, most_atoms)


def known_molecules(smiles: Iterable[str], vocabulary: Vocabulary) -> Collection[str]:
    """What generated molecules are looked for in: these canonical SMILES, which the recipe has standardised."""
    return set(smiles) if vocabulary.recipe == "none" else _Standardised(smiles, vocabulary)


class _Standardised(Collection[str]):
    """SMILES of standardised molecules; any other SMILES is in it when its standardised form is."""

    def __init__(self, smiles: Iterable[str], vocabulary: Vocabulary) -> None:
        self._smiles, self._vocabulary = frozenset(smiles), vocabulary
        self._standard = lru_cache(maxsize=1 << 16)(self._written)  # many are asked about twice

    def __len__(self) -> int:
        return len(self._smiles)

    def __iter__(self) -> Iterator[str]:
        return iter(self._smiles)

    def __contains__(self, smiles: object) -> bool:
        return smiles in self._smiles or (isinstance(smiles, str) and self._standard(smiles) in self._smiles)

    def _written(self, smiles: str) -> str | None:
        try:
            with rdBase.BlockLogs():
                return read_by(self._vocabulary.recipe, smiles, self._vocabulary.max_atoms)[0].smiles
        except RejectedError:
            return None


def coding_digest(vocabulary: Vocabulary) -> str:
    """SHA-256 (hex), equal at two parties only if their molecules become the same graphs.

    That of the vocabulary, with what its recipe depends on: counter-ions, and RDKit's version.
    """
    if vocabulary.recipe == "none":
        return vocabulary.digest()
    parts = vocabulary.digest(), patterns(ACIDS | BASES | SOLVENTS), rdBase.rdkitVersion
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def same_coding(vocabulary: object, recipe: object) -> str:
    """What somebody is to do whose molecules would become other graphs."""
    wanted = f"set model.vocabulary to {vocabulary!r} and data.standardise to {recipe}, with the same version of fedmol"
    return wanted if recipe == "none" else f"{wanted} and RDKit {rdBase.rdkitVersion}"
