"""The stereoisomers of a molecule whose stereo is not known."""

from __future__ import annotations

from dataclasses import dataclass

from rdkit import Chem, rdBase
from rdkit.Chem.EnumerateStereoisomers import EnumerateStereoisomers, GetStereoisomerCount, StereoEnumerationOptions

MOST = 1024  # ways to set a molecule's centres and double bonds that are looked at: all of ten of them


@dataclass(frozen=True)
class Stereoisomers:
    """Some stereoisomers of a molecule, as canonical SMILES without doubles, and how many there are in all."""

    smiles: tuple[str, ...]
    total: int | None  # None where it is not known: not all ways to set them were looked at


def stereoisomers(smiles: str, most: int) -> Stereoisomers:
    """The first `most` (1 to `MOST`) stereoisomers of a molecule: itself if it has but one.

    Centres and double bonds are those that RDKit finds, each set both ways; meso forms and other doubles are counted
    once. Of more than `MOST` ways a random choice is looked at, the same at every call. Whether strain allows an isomer
    is not asked, and axes (allenes, biphenyls) are not known.

    Example:
        >>> stereoisomers("CC(O)C(C)O", 2)
        Stereoisomers(smiles=('C[C@H](O)[C@H](C)O', 'C[C@H](O)[C@@H](C)O'), total=3)
    """
    mol, found = Chem.MolFromSmiles(smiles), dict[str, None]()
    options = StereoEnumerationOptions(maxIsomers=MOST, unique=False, rand=0)  # type: ignore[no-untyped-call]
    with rdBase.BlockLogs():
        all_seen = GetStereoisomerCount(mol) <= MOST  # type: ignore[no-untyped-call]
        for isomer in EnumerateStereoisomers(mol, options):  # type: ignore[no-untyped-call]
            found[str(Chem.MolToSmiles(isomer))] = None
            if not all_seen and len(found) == most:
                break
    return Stereoisomers(tuple(found)[:most], len(found) if all_seen else None)
