"""The embedded data set: small drug-like molecules that the program makes itself, always the same, in seconds.

Rings and chains that medicinal chemists know are decorated with one to three of their usual substituents. Nothing is
downloaded and nothing is random but the choice among the molecules so made, which is seeded with a constant.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from itertools import combinations_with_replacement

from rdkit import Chem, rdBase

MAX_ATOMS = 9
# At most so many of each size are kept, of each in these shares (aromatic, other rings, chains).
_QUOTA = {4: 40, 5: 150, 6: 500, 7: 1000, 8: 1500, 9: 1800}
_SHARES = (0.5, 0.35, 0.15)


def _words(text: str) -> list[str]:
    return text.split()


_RINGS = _words("""
c1ccccc1 c1ccncc1 c1cncnc1 c1cnccn1 c1ccnnc1 c1ccoc1 c1cc[nH]c1 c1cnc[nH]1 c1cn[nH]c1 c1cocn1 c1ccon1 c1nc[nH]n1
c1nnco1 c1ncon1 C1CC1 C1CCC1 C1CCCC1 C1CCCCC1 C1CCNC1 C1CCNCC1 C1CNCCN1 C1COCCN1 C1CCOC1 C1CCOCC1 C1COC1 C1CNC1
C1OCCO1 C1COCCO1 C1CC=CC1 C1CC=CCC1 O=C1CCCC1 O=C1CCCCC1 O=C1CCCN1 O=C1CCCCN1 O=C1CCCO1 O=C1NCCN1 O=C1OCCN1
O=C1CCC(=O)N1 O=c1cccc[nH]1 O=C1CNC(=O)CN1 C1CC2CC2C1 C1CC2CCC1C2 C1CN2CCC1CC2 c1ccc2[nH]ccc2c1 c1ccc2occc2c1
c1ccc2[nH]cnc2c1 c1ccc2ocnc2c1 c1cnc2[nH]ccc2c1 c1ccc2c(c1)CCC2 c1ccc2c(c1)CCO2 c1ccc2c(c1)CCN2 c1ccc2c(c1)OCO2
C1CC1C1CC1 C1CC12CC2 C1CC2(C1)CNC2 C1CC2(C1)COC2
""")

_CHAINS = _words("""
CC CCC CCCC CC(C)C CCOC CCNC CCN(C)C CC(=O)C CC(=O)N CC(=O)NC CCC(=O)N CC(=O)OC CCC(=O)O NC(=O)N CNC(=O)NC
COC(=O)NC C=CC CC=CC C#CC CC#CC CCC#N CC(C)C#N OCCN OCCO NCCN COCCO CC(C)O CC(C)N OCCC(=O)O CNCC(=O)O
CC(N)C(=O)O CC(C)(C)C
""")

_SUBSTITUENTS = _words("""
F O N C OC CC C#N C=O C(C)=O C(N)=O C(=O)O CO CF C(F)F C(F)(F)F C(C)C C1CC1 C=C C#C N(C)C NC NC(C)=O CN OCC CC#N
COC C(=O)OC OC(F)F C(=O)NC N1CCC1 [N+](=O)[O-] CCO CCN
""")
_SECOND = _words("F O N C OC C#N NC CO CC")

# Groups that no chemist would expect in a bottle; a molecule with one of them is left out.
_UNLIKELY = [
    Chem.MolFromSmarts(smarts)
    for smarts in (
        "[N,O;!$([N+](=O)[O-])]-[F,O]",  # hypofluorite, peroxide, N-O and N-F bonds
        "[NX3;!$([N+]);!$(N-a)]-[NX3]",  # hydrazine
        "[CX4]([OX2H,NX3H2])[OX2,NX3,F]",  # hemiacetal, hemiaminal and their like
        "[CX4]([NX3H1,OX2H1])([NX3H1,OX2H1])",
        "[CX4;!$(C(F)F)]([F])[NX3,OX2]",  # alpha-fluoro amine and ether, but for OCHF2
        "[CX4;!R]([OX2H0])[OX2H0]",  # acyclic acetal
        "[CX4]([OX2,NX3])[NX3;!$(N-C=O)]",  # aminal
        "[CX3]=[CX3]-[OX2H,NX3H2,NX3H1,F]",  # enol, enamine
        "[CX2]#[CX2]-[O,N,F]",  # ynol, ynamine
        "[NX3]-[CX3H1]=[CX3]",
        "[OX2H]-C(=O)-[OX2,NX3]",  # carbonic and carbamic acid
        "C(=O)OC(=O)",  # anhydride
        "[CX3](=O)[F]",  # acyl fluoride
        "O=[CX3;R0]-[CX3;R0]=O",  # open-chain 1,2-dicarbonyl
        "[OX2H0,NX3]-[CX3H1]=O",  # formate, formamide
        "[#7X3;!$([N+])]-[CX2]#N",  # cyanamide
        "[O;!$(O=*)]-[CX2]#N",
        "[CX3](=O)-[CX2]#N",
        "[n]-[O,N,F,$(C#N),$([N+])]",
        "n-[CX3;R0]=O",
        "[OX2H]-c:[n,o]",  # its lactam or lactone is the stable tautomer
        "[CX4](-[CX2]#N)-[CX2]#N",
        "[N+](=O)([O-])-[!c]",
    )
]


def _open_atoms(mol: Chem.Mol) -> list[int]:
    """One atom with hydrogens of each class of equivalent ones, so that no decoration is made twice."""
    seen: dict[int, int] = {}
    for atom, rank in zip(mol.GetAtoms(), Chem.CanonicalRankAtoms(mol, breakTies=False), strict=True):
        if atom.GetTotalNumHs():
            seen.setdefault(rank, atom.GetIdx())
    return list(seen.values())


def _attach(mol: Chem.Mol, place: int, substituent: Chem.Mol) -> Chem.Mol | None:
    """`mol` with a hydrogen of atom `place` replaced by the first atom of `substituent`."""
    joined = Chem.RWMol(Chem.CombineMols(mol, substituent))
    atom = joined.GetAtomWithIdx(place)
    atom.SetNumExplicitHs(max(atom.GetNumExplicitHs() - 1, 0))
    joined.AddBond(place, mol.GetNumAtoms(), Chem.BondType.SINGLE)
    try:
        Chem.SanitizeMol(joined)
    except ValueError:  # RDKit's sanitisation errors
        return None
    return joined.GetMol()


def _decorated(core: Chem.Mol, substituents: list[Chem.Mol]) -> Iterator[Chem.Mol]:
    """All ways to put the substituents on the core, the same molecule possibly more than once."""
    if not substituents:
        yield core
        return
    for place in _open_atoms(core):
        grown = _attach(core, place, substituents[0])
        if grown is not None:
            yield from _decorated(grown, substituents[1:])


def _candidates() -> Iterator[Chem.Mol]:
    substituents = [Chem.MolFromSmiles(smiles) for smiles in _SUBSTITUENTS]
    second = [Chem.MolFromSmiles(smiles) for smiles in _SECOND]
    for smiles in (*_RINGS, *_CHAINS):
        core = Chem.MolFromSmiles(smiles)
        room = MAX_ATOMS - core.GetNumAtoms()
        for number, choices in ((0, []), (1, substituents), (2, second)):
            for chosen in combinations_with_replacement(choices, number):
                if sum(mol.GetNumAtoms() for mol in chosen) <= room:
                    yield from _decorated(core, list(chosen))


def _likely(mol: Chem.Mol) -> bool:
    return not any(mol.HasSubstructMatch(pattern) for pattern in _UNLIKELY)


def _kind(mol: Chem.Mol) -> int:
    """Index into `_SHARES`."""
    rings = mol.GetRingInfo().NumRings()
    return 0 if any(atom.GetIsAromatic() for atom in mol.GetAtoms()) else 1 if rings else 2


def _choose(found: dict[tuple[int, int], dict[str, None]], rng: random.Random) -> Iterator[str]:
    for (size, kind), smiles in sorted(found.items()):
        yield from rng.sample(list(smiles), min(round(_QUOTA[size] * _SHARES[kind]), len(smiles)))


@cache
def embedded() -> tuple[str, ...]:
    """Canonical SMILES of different molecules with 4 to 9 heavy atoms (C, N, O, F), in an order that mixes sizes."""
    found: dict[tuple[int, int], dict[str, None]] = {}
    with rdBase.BlockLogs():
        for mol in _candidates():
            if mol.GetNumAtoms() in _QUOTA and _likely(mol):
                found.setdefault((mol.GetNumAtoms(), _kind(mol)), {})[Chem.MolToSmiles(mol)] = None
    rng = random.Random(0)
    chosen = list(_choose(found, rng))
    rng.shuffle(chosen)
    return tuple(chosen)
