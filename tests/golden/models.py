"""Model files of this format and of former ones, and the molecules that each has given since it was written.

The files of former formats were written by the versions of their time. All hold one layer of preset `small`, trained
for some minutes on the molecules that come with fedmol.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from rdkit.Chem import Descriptors, MolFromSmiles
from torch import Generator, Tensor

from fedmol.chem.graphs_to_molecules import read_graphs
from fedmol.chem.smiles_to_graphs import encode
from fedmol.chem.vocabulary import get
from fedmol.data.embedded import embedded
from fedmol.diffusion import Census, Conditions, NoiseModel, sample
from fedmol.diffusion.conditions import standardised
from fedmol.diffusion.guidance import ClassifierFree
from fedmol.graphs import Graphs
from fedmol.models import build
from fedmol.properties import Property
from fedmol.training import TrainedModel, TrainingConfig, build_optimizer, save_model, train

RECORDED = Path(__file__).with_name("models")
MOLECULES = RECORDED / "molecules.json"
PROPERTIES = Property("logp", "", mean=0.5, scale=1.0), Property("weight", "Da", mean=120.0, scale=10.0)
TARGETS = torch.tensor([[2.0, 125.0], [-1.0, torch.nan]])  # asked in turn of a model with properties
COUNT, STEPS, WEIGHTS = 16, 12, (1.0, 0.5)
MEASURES = dict(Descriptors.descList)
_TRAINING = 1500  # steps


def path_of(number: int) -> Path:
    return RECORDED / f"format-{number}.safetensors"


def recorded() -> dict[str, list[str | None]]:
    """The molecules by the names of the files: SMILES, None for a graph that is not valid."""
    molecules: dict[str, list[str | None]] = json.loads(MOLECULES.read_text())
    return molecules


def graphs_of(model: TrainedModel) -> Graphs:
    """Some molecules of a model, on one thread of a processor in float32."""
    conditions = guidance = None
    if model.properties:
        table = TARGETS.repeat(COUNT // len(TARGETS), 1)
        conditions, guidance = Conditions.of(standardised(table, model.properties)), ClassifierFree(WEIGHTS)
    model.denoiser.exact = True
    with one_thread():
        return sample(
            model.denoiser,
            model.noise,
            COUNT,
            Generator().manual_seed(8),
            STEPS,
            conditions=conditions,
            guidance=guidance,
        )


def molecules_of(model: TrainedModel) -> list[str | None]:
    return [reading.smiles for reading in read_graphs(graphs_of(model), model.vocabulary)]


def train_one(path: Path, properties: tuple[Property, ...]) -> None:
    """Write a model of today's format."""
    vocabulary = get("qm9-charged")
    encoded = encode(embedded(), vocabulary)
    graphs = encoded.ragged.dense()
    if properties:
        graphs = Graphs(graphs.atoms, graphs.bonds, graphs.counts, standardised(_measured(encoded.smiles), properties))
    noise = NoiseModel.from_census(Census.take(graphs, *vocabulary.sizes))
    denoiser = build("small", *vocabulary.sizes, seed=0, layers=1, properties=len(properties))
    config = TrainingConfig()
    train(
        denoiser,
        build_optimizer(denoiser, config),
        noise,
        graphs,
        first_step=0,
        steps=_TRAINING,
        total_steps=_TRAINING,
        config=config,
        generator=Generator().manual_seed(0),
    )
    save_model(
        path,
        denoiser,
        preset="small",
        vocabulary=vocabulary,
        noise=noise,
        meta={"made_by": "tests/golden"},
        precision=torch.float16,
        properties=properties,
    )


def _measured(smiles: list[str]) -> Tensor:
    """logP and molecular weight."""
    molecules = [MolFromSmiles(text) for text in smiles]
    return torch.tensor([[MEASURES[name](mol) for name in ("MolLogP", "MolWt")] for mol in molecules])


@contextmanager
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
