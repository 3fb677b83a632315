"""The smallest vocabulary that holds nearly all molecules of a file, and what it would leave out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from rdkit import rdBase

from fedmol.chem.normal_form import MOST_ATOMS, RejectedError
from fedmol.chem.standardise import read_by
from fedmol.chem.vocabulary import LARGEST, MOST_TYPES, VOCABULARIES, AtomType, Recipe, Vocabulary
from fedmol.data.parallel import Progress, in_blocks

KEEP = 0.995  # share of the molecules that a proposed vocabulary holds
_TRUTH = "N", "Y", "No"
Kinds = Counter[tuple[frozenset[AtomType], int]]  # atom types and heavy atoms -> molecules


@dataclass(frozen=True)
class Proposal:
    """A vocabulary, and how many of `molecules` it leaves out, in all and for each atom type and size it lacks."""

    vocabulary: Vocabulary
    molecules: int
    left_out: int
    types: dict[AtomType, int]  # molecules that have one of the types
    larger: int  # molecules of more atoms
    neutral: int  # molecules that it holds without their charges, being one of neutral atoms

    @property
    def yaml(self) -> str:
        """As it stands in federation.yaml, below `model`."""
        labels, most = ", ".join(map(_quoted, self.vocabulary.atom_labels)), self.vocabulary.max_atoms
        return f"vocabulary: {{name: {self.vocabulary.name}, atoms: [{labels}], max_atoms: {most}}}"


def kinds_of(texts: Sequence[str], recipe: Recipe, on_progress: Progress | None = None) -> Kinds:
    """What the molecules among the texts are made of; texts that no vocabulary holds are left out."""
    kinds = Kinds()
    for block in in_blocks(partial(_kinds, recipe=recipe), texts, on_progress):
        kinds.update(block)
    return kinds


def _kinds(texts: Sequence[str], recipe: Recipe) -> Kinds:
    kinds = Kinds()
    with rdBase.BlockLogs():
        for text in texts:
            try:
                mol = read_by(recipe, text, MOST_ATOMS)[0].mol
            except RejectedError:
                continue
            atoms = {(atom.GetSymbol(), atom.GetFormalCharge()) for atom in mol.GetAtoms()}
            kinds[frozenset(AtomType(*atom) for atom in atoms), mol.GetNumAtoms()] += 1
    return kinds


def propose(name: str, kinds: Kinds, keep: float) -> Proposal:
    """The rarest atom type or the largest size goes first, as long as a share of `keep` of the molecules is left.

    Raises:
        ValueError: no vocabulary can hold so many, or there are no molecules.
    """
    total = kinds.total()
    left, spared = Kinds(kinds), (1 - keep) * total + 1e-9
    lost = _drop(
        left, [shape for shape in kinds if shape[1] > LARGEST or not all(kind.can_be_coded for kind in shape[0])]
    )
    while left:
        rarest = min(_candidates(left), key=lambda group: (sum(left[kind] for kind in group), len(group)))
        cost = sum(left[kind] for kind in rarest)
        if lost + cost > spared and len(_types(left)) <= MOST_TYPES:
            break
        lost += _drop(left, rarest)
    if not left or lost > spared:
        beyond = f": {lost:,} have more than {LARGEST} heavy atoms, or atoms that no vocabulary has" if lost else ""
        raise ValueError(f"no vocabulary holds {keep:.1%} of the {total:,} molecules{beyond}")
    types = _types(left)
    ordered = sorted(types, key=lambda kind: (kind.charge != 0, -types[kind], kind.label))
    vocabulary = Vocabulary.of(name, [kind.label for kind in ordered], max_atoms=max(2, max(size for _, size in left)))
    return Proposal(vocabulary, total, *_missing(kinds, vocabulary))


def comments(proposal: Proposal, kinds: Kinds) -> Iterator[str]:
    """What a vocabulary leaves out, and what those that come with fedmol would."""
    yield from _told(proposal, "it")
    for vocabulary in VOCABULARIES.values():
        yield from list(_told(Proposal(vocabulary, kinds.total(), *_missing(kinds, vocabulary)), vocabulary.name))[:1]


def _told(proposal: Proposal, name: str) -> Iterator[str]:
    kept = proposal.molecules - proposal.left_out
    charges = f", {proposal.neutral:,} of them without their charges" if proposal.neutral else ""
    yield f"{name} holds {kept:,} of {proposal.molecules:,} molecules ({kept / proposal.molecules:.2%}){charges}"
    if proposal.types:
        yield "without: " + ", ".join(f"{kind.label} in {count:,}" for kind, count in proposal.types.items())
    if proposal.larger:
        yield f"larger than {proposal.vocabulary.max_atoms} heavy atoms: {proposal.larger:,}"


def _missing(kinds: Kinds, vocabulary: Vocabulary) -> tuple[int, dict[AtomType, int], int, int]:
    atoms = set(vocabulary.atoms)
    lacking, larger, lost, neutral = Counter[AtomType](), 0, 0, 0
    for (types, size), count in kinds.items():
        foreign = {_as_coded(kind, vocabulary) for kind in types} - atoms
        lacking.update(dict.fromkeys(foreign, count))
        larger += count * (size > vocabulary.max_atoms)
        if foreign or size > vocabulary.max_atoms:
            lost += count
        elif not vocabulary.keeps_charges and any(kind.charge for kind in types):
            neutral += count
    return lost, dict(sorted(lacking.items(), key=lambda pair: (-pair[1], pair[0].label))), larger, neutral


def _as_coded(kind: AtomType, vocabulary: Vocabulary) -> AtomType:
    return kind if vocabulary.keeps_charges else AtomType(kind.symbol)


def _candidates(left: Kinds) -> Iterator[list[tuple[frozenset[AtomType], int]]]:
    """What goes with the largest size, and with each of the types."""
    largest = max(size for _, size in left)
    yield [kind for kind in left if kind[1] == largest]
    for atom in _types(left):
        yield [kind for kind in left if atom in kind[0]]


def _drop(left: Kinds, which: Iterable[tuple[frozenset[AtomType], int]]) -> int:
    return sum(left.pop(kind) for kind in list(which))


def _types(left: Mapping[tuple[frozenset[AtomType], int], int]) -> Counter[AtomType]:
    """In how many molecules each type occurs."""
    types = Counter[AtomType]()
    for (atoms, _), count in left.items():
        types.update(dict.fromkeys(atoms, count))
    return types


def _quoted(label: str) -> str:
    """The label as YAML takes it for text: nobelium is a truth value to it, as N and Y are to some of its readers."""
    return f'"{label}"' if label in _TRUTH else label
