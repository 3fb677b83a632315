"""An aggregator's folder made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fedmol.chem.smiles_to_graphs import encode
from fedmol.diffusion import Census
from fedmol.fl.checkpoints import Checkpoint, Checkpoints
from fedmol.fl.federation import Settings, dump, parse
from fedmol.fl.messages import Agreement, CensusCounts
from fedmol.fl.payload import vector_digest
from fedmol.telemetry.events.round_events import RoundFinished
from fedmol.telemetry.events.run_events import RunFinished, RunStarted
from fedmol.telemetry.log import EventLog
from fedmol.training.assembly import denoiser_of, save_final_model, vocabulary_of
from fedmol.training.parameter_vector import flatten

SMILES = ["CCO", "CC", "C1CC1", "CC#N", "CCCO", "OCCO", "c1ccoc1", "CNC"]


class State:
    """An aggregator's folder, filled as the aggregator fills it."""

    def __init__(self, work: Path, run: str = "trial") -> None:
        self.work = work
        self.settings: Settings = parse(
            {
                "sites": [{"name": "north"}],
                "model": {"layers": 1},
                "training": {"rounds": 3},
                "evaluation": {"samples": 8, "nll_molecules": 4},
            },
            "state",
        )
        vocabulary = vocabulary_of(self.settings)
        sizes = (len(vocabulary.atoms), len(vocabulary.bonds), vocabulary.max_atoms)
        self.census = Census.take(encode(SMILES, vocabulary).graphs, *sizes)
        counts = CensusCounts.model_validate(self.census.to_json(), strict=False)
        self.agreement = Agreement(census=counts, molecules={"north": 8}, local_steps=4, shards={"north": "5" * 64})
        self.weights = flatten(denoiser_of(self.settings))
        self.log = EventLog(work / "events.jsonl", run=run, site="aggregator")
        (work / "settings.yaml").write_text(dump(self.settings))
        (work / "agreement.json").write_text(self.agreement.model_dump_json())
        self.log.write(RunStarted(sites=["north"], quorum=1, rounds=3, parameters=1, model_bytes=4))

    def finish(self, *rounds: int, keep: int = 2) -> State:
        for round in rounds:
            self.weights = self.weights * np.float32(0.9)
            account = RoundFinished(
                sites=["north"],
                weights={"north": 1.0},
                missing=[],
                seconds=1.0,
                loss=1.0,
                nll=1.0,
                site_loss={},
                site_nll={},
                model_digest=vector_digest(self.weights),
            )
            Checkpoints(self.work / "rounds", keep).save(Checkpoint({"model": self.weights}, {}, round, account))
            self.log.write(account, round=round)
        return self

    def end(self) -> State:
        digest = vector_digest(self.weights)
        self.log.write(RunFinished(outcome="complete", missing=[], missed_rounds={}, rounds=3, model_digest=digest))
        save_final_model(self.work / "model.safetensors", self.settings, self.agreement, self.weights, 3)
        return self
