"""The same substances as two sites write them: `python -m benchmarks.substances`.

One site has the canonical SMILES of RDKit. The other has each substance as a salt, in a charged form or as another of
its tautomers, chosen at random, with the atoms in random order. Counted are the graphs that both have, with the recipe
`parent` and without one.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from rdkit import Chem, rdBase
from rdkit.Chem.MolStandardize import rdMolStandardize

from benchmarks import origin
from fedmol import files, formats
from fedmol.chem import vocabulary as vocabularies
from fedmol.chem.standardise import read_by
from fedmol.chem.vocabulary import RECIPES, Vocabulary
from fedmol.data.molecule_files import Table, read_table
from fedmol.data.shards import Shard, build_shard
from fedmol.evaluation.quality import Rate
from fedmol.runtime import call

WAYS = ("salt", "charged", "tautomer")
PARTNERS = ("[Na+]", "Cl", "OS(O)(=O)=O", "OC(=O)C(O)C(O)C(O)=O", "OC(=O)C=CC(O)=O", "CC(O)=O", "Cc1ccc(cc1)S(O)(=O)=O")
COMMAND = "python -m benchmarks.substances"
_DATA, _PAGE = "substances.json", "substances.md"
_SUBSTANCES = 1000
_ACID, _AMINE = Chem.MolFromSmarts("[OX2H1][CX3]=O"), Chem.MolFromSmarts("[NX3+0;!$(N~[!#6;!#1]);!$(N-[!CX4])]")


def written(smiles: str, way: str, rng: random.Random) -> str | None:
    """The substance in another way of writing it; None where there is no such way."""
    if way == "salt":
        return ".".join(rng.sample([_shuffled(smiles, rng), rng.choice(PARTNERS)], 2))
    other = _charged(smiles) if way == "charged" else _tautomer(smiles, rng)
    return None if other is None else _shuffled(other, rng)


def _shuffled(smiles: str, rng: random.Random) -> str:
    mol = Chem.MolFromSmiles(smiles)
    order = rng.sample(range(mol.GetNumAtoms()), mol.GetNumAtoms())
    return str(Chem.MolToSmiles(Chem.RenumberAtoms(mol, order), canonical=False))


def _charged(smiles: str) -> str | None:
    """An acid without its hydrogen, an amine with another one, both where there are both."""
    mol = Chem.RWMol(Chem.MolFromSmiles(smiles))
    for pattern, charge in ((_ACID, -1), (_AMINE, 1)):
        for match in mol.GetSubstructMatches(pattern, maxMatches=1):
            atom = mol.GetAtomWithIdx(match[0])
            hydrogens = atom.GetTotalNumHs() + charge
            atom.SetFormalCharge(charge)
            atom.SetNoImplicit(True)
            atom.SetNumExplicitHs(hydrogens)
    Chem.SanitizeMol(mol)
    said = str(Chem.MolToSmiles(mol))
    return None if said == smiles else said


def _tautomer(smiles: str, rng: random.Random) -> str | None:
    found = rdMolStandardize.TautomerEnumerator().Enumerate(Chem.MolFromSmiles(smiles))
    others = sorted({str(Chem.MolToSmiles(tautomer)) for tautomer in found} - {smiles})
    return rng.choice(others) if others else None


def two_sites(substances: Sequence[str], rng: random.Random) -> Iterator[tuple[str, str, str]]:
    """(as the one site has it, as the other has it, the way) of each substance."""
    for smiles in substances:
        forms = [(way, other) for way in WAYS if (other := written(smiles, way, rng)) is not None]
        way, other = rng.choice(forms)
        yield smiles, other, way


def substances(table: Table, number: int, vocabulary: Vocabulary, rng: random.Random) -> list[str]:
    """Canonical SMILES of some molecules of the table that are different substances."""
    different: dict[str, str] = {}
    for text in rng.sample(table.smiles, len(table)):
        if len(different) == number:
            break
        mol = Chem.MolFromSmiles(text)
        if mol is not None and not Chem.GetFormalCharge(mol):
            smiles = str(Chem.MolToSmiles(mol, isomericSmiles=False))
            different.setdefault(read_by("parent", smiles, vocabulary.max_atoms)[0].smiles, smiles)
    return list(different.values())


def shard_of(smiles: Sequence[str], vocabulary: Vocabulary) -> Shard:
    lines = tuple(range(1, len(smiles) + 1))
    return build_shard(Table("site", "smiles", tuple(smiles), lines), vocabulary)


def measure(name: str, table: Table, vocabulary_name: str, number: int, seed: int) -> dict[str, dict[str, float]]:
    rng, figures = random.Random(seed), dict[str, dict[str, float]]()
    with rdBase.BlockLogs():
        pairs = list(two_sites(substances(table, number, vocabularies.get(vocabulary_name), rng), rng))
    for recipe in RECIPES:
        vocabulary = vocabularies.get(vocabulary_name, recipe)
        began = time.process_time()
        here = shard_of([smiles for smiles, _, _ in pairs], vocabulary)
        seconds = time.process_time() - began
        there = shard_of([other for _, other, _ in pairs], vocabulary)
        low, high = (rate := Rate(len({*here.smiles} & {*there.smiles}), len(pairs))).interval
        figures[f"{name}/{recipe}/same"] = {"value": rate.share, "low": low, "high": high, "of": len(pairs)}
        figures[f"{name}/{recipe}/milliseconds"] = {"value": 1000 * seconds / len(pairs)}
    return figures


def render(figures: dict[str, dict[str, Any]]) -> str:
    """docs/results/substances.md."""
    sources = sorted({name.split("/")[0] for name in figures})
    rows = "".join(
        f"| {source}, {recipe} | {formats.percent(same['value'])} ({formats.percent(same['low'])} to "
        f"{formats.percent(same['high'])}) | {figures[f'{source}/{recipe}/milliseconds']['value']:.1f} |\n"
        for source in sources
        for recipe in RECIPES
        for same in [figures[f"{source}/{recipe}/same"]]
    )
    made = {str(figure["commit"])[:7] for figure in figures.values()}
    most = max(int(figure["of"]) for name, figure in figures.items() if name.endswith("/same"))
    return f"""# The same substances at two sites

{most:,} substances of each source. One site has RDKit's canonical SMILES of them, the other each as a salt, in a
charged form or as another of its tautomers, with the atoms in random order. Counted are the graphs that both then have.
Made by `{COMMAND}` at {", ".join(sorted(made))}.

| source, `data.standardise` | the same graphs (95 % interval) | ms a molecule |
| --- | ---: | ---: |
{rows}
With the recipe, what is missing are tautomers from which RDKit's rules do not lead back, such as those with a hydrogen
moved to a carbon atom of an aromatic ring.
"""


@click.command()
@click.option(
    "--data", type=click.Path(path_type=Path), envvar="FEDMOL_DATA", required=True, help="folder of QM9, MOSES"
)
@click.option("--number", default=_SUBSTANCES, show_default=True)
@click.option("--out", default=origin.ROOT / "docs/results", type=click.Path(path_type=Path))
def main(data: Path, number: int, out: Path) -> None:
    """Count the graphs that two sites with the same substances have in common."""
    commit = origin.commit(clean=out == origin.ROOT / "docs/results")
    found: dict[str, dict[str, float]] = {}
    for name, file, vocabulary in (("MOSES", "moses.csv.gz", "drug"), ("QM9", "qm9.csv.gz", "qm9-charged")):
        found |= measure(name, read_table(data / file), vocabulary, number, seed=0)
    told = {"command": COMMAND, "commit": commit, "machine": origin.machine()}
    figures = {name: {**figure, **told} for name, figure in found.items()}
    files.write_text(out / _DATA, json.dumps(figures, indent=1, allow_nan=False) + "\n")
    files.write_text(out / _PAGE, render(figures))


if __name__ == "__main__":
    sys.exit(call(main, sys.argv[1:], "benchmarks.substances"))
