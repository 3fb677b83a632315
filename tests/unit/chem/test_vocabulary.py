from __future__ import annotations

import dataclasses

import pytest

from fedmol.chem import vocabulary
from fedmol.errors import Exit, FedmolError


def test_reference_vocabulary_has_the_classes_of_digress() -> None:
    qm9 = vocabulary.get("qm9")
    assert qm9.atom_labels == ["C", "N", "O", "F"]
    assert qm9.bonds == ("none", "single", "double", "triple", "aromatic")
    assert qm9.max_atoms == 9


def test_digest_changes_with_every_part() -> None:
    base = vocabulary.get("qm9-charged")
    others = [
        dataclasses.replace(base, max_atoms=10),
        dataclasses.replace(base, atoms=base.atoms[:-1]),
        dataclasses.replace(base, atoms=base.atoms[::-1]),
        dataclasses.replace(base, bonds=(*base.bonds, "aromatic")),
        *(one for name, one in vocabulary.VOCABULARIES.items() if name != base.name),
    ]
    assert len({one.digest() for one in (base, *others)}) == len(others) + 1
    assert dataclasses.replace(base).digest() == base.digest()


def test_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(FedmolError, match="no vocabulary 'zinc'") as caught:
        vocabulary.get("zinc")
    assert caught.value.exit is Exit.BAD_SETTINGS
    assert "qm9-charged" in caught.value.cure
