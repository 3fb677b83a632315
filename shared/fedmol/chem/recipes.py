"""By what parties tell whether the same substance is the same graph at each of them."""

from __future__ import annotations

import hashlib

from rdkit import rdBase

from fedmol.chem.counterions import ACIDS, BASES, SOLVENTS, patterns
from fedmol.chem.vocabulary import Vocabulary


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
