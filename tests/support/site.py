"""A site without a network: its training, in a folder that a restart finds again."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from fedmol.chem.smiles_to_graphs import encode
from fedmol.diffusion import Census, NoiseModel
from fedmol.fl.federation import Settings, parse
from fedmol.fl.messages import Progress
from fedmol.fl.payload import MODEL, Sections
from fedmol.fl.run_manifest import manifest_of
from fedmol.heartbeat import Heart
from fedmol.telemetry.log import Event, EventLog
from fedmol.telemetry.queries import Kind, logged
from fedmol.training.assembly import denoiser_of, trainer_of, vocabulary_of
from fedmol.training.parameter_vector import flatten
from fedmol_collaborator.known_changes import KnownChanges
from fedmol_collaborator.progress_reporter import ProgressReporter
from fedmol_collaborator.site_state import SiteState
from fedmol_collaborator.site_training import SiteTraining
from fedmol_collaborator.watchdog import Watchdog

RUN, SITE, STEPS = "r", "north", 4
SMILES = ["CCO", "CC", "C1CC1", "CC#N", "CCCO", "OCCO", "c1ccoc1", "CNC"]


def settings_of_a_site(**changes: Any) -> Settings:
    training = {"rounds": 3, "local_steps": STEPS, "batch_size": 4, "validation_molecules": 3}
    document = {"sites": [{"name": SITE}], "model": {"preset": "small", "layers": 1}, "training": training}
    return parse({**document, **changes}, "site")


class Site:
    """`restart` builds the training again on the same folder, as after a kill."""

    def __init__(self, work: Path, **changes: Any) -> None:
        self.work, self.settings = work, settings_of_a_site(**changes)
        self.events = EventLog(work / "events.jsonl", run=RUN, site=SITE)
        self.restart()

    def restart(self) -> None:
        vocabulary = vocabulary_of(self.settings)
        graphs = encode(SMILES, vocabulary).graphs
        census = Census.take(graphs, len(vocabulary.atoms), len(vocabulary.bonds), vocabulary.max_atoms)
        self.stop = threading.Event()
        watch = Watchdog(Heart(self.work), self.events, longest_call=10)
        hello = Progress(run=RUN, peer="c-0123456789abcdef", round=None, phase="connecting")
        manifest = manifest_of(RUN, self.settings)
        self.training = SiteTraining(
            self.settings,
            SITE,
            trainer_of(self.settings, NoiseModel.from_census(census), graphs),
            graphs,
            STEPS,
            KnownChanges(RUN, self.settings, manifest, self.work / "ca.crt", self.events),
            SiteState(self.work / "state"),
            ProgressReporter(self.events, hello, lambda *_: None, watch),
            self.stop,
        )

    def start(self, scale: float = 1.0) -> Sections:
        """Sections that a round could start from."""
        model = flatten(denoiser_of(self.settings))
        names = self.training.payload.by_name
        return {name: model * np.float32(scale) if name == MODEL else np.zeros_like(model) for name in names}

    def said(self, kind: type[Kind]) -> list[Event[Kind]]:
        return list(logged(self.events.path, kind))
