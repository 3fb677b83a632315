"""A collaborator as OpenFL ships it takes part: its own client and codec, after our join and with our task runner."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from openfl.component import Collaborator
from openfl.pipelines import NoCompressionPipeline
from openfl.transport import AggregatorGRPCClient

from benchmarks.federation.cases import counts, introduction
from benchmarks.federation.member import Member
from fedmol.fl.identity import aggregator_name, peer_name
from fedmol.fl.payload import MODEL, Sections, Vector, model_payload
from fedmol.telemetry.events.round_events import RoundFinished, UpdateRefused
from fedmol_collaborator.openfl_adapter.plan import render
from fedmol_collaborator.openfl_adapter.task_runner import SiteTaskRunner
from tests.support.stage import AGGREGATOR, RUN, Stage, small_settings

MOLECULES = 100


@dataclass
class StubTraining:
    """In the place of a site's training: a step of its own from the round's model."""

    site: str
    size: int

    def __post_init__(self) -> None:
        self.molecules = self.validation_molecules = MOLECULES
        self.payload = model_payload(self.size)

    def validate(self, round: int, model: Vector) -> Any:
        return SimpleNamespace(nll=80.0 + round, seconds=0.0)

    def train(self, round: int, start: Sections) -> Any:
        step = np.random.default_rng([round, *self.site.encode()]).normal(size=self.size) / self.size
        return SimpleNamespace(sections={MODEL: (start[MODEL] + step).astype(np.float32)}, loss=2.0, seconds=0.0)


@pytest.mark.filterwarnings("ignore")  # OpenFL's own
def test_a_stock_collaborator_plays_a_whole_run(tmp_path: Path) -> None:
    stage = Stage(small_settings(sites=[{"name": "west"}]), tmp_path / "run")
    certs = stage.folder / "certs" / "site-west"
    hello, initial = introduction(stage.settings)
    try:
        stage.start(AGGREGATOR)
        stage.wait_until_it_serves()
        with Member(f"localhost:{stage.settings.network.port}", certs, "west", RUN) as member:
            joining = hello.model_copy(update={"run": RUN, "peer": peer_name("west")})
            member.join(joining, counts(stage.settings, MOLECULES))
        training = StubTraining("west", len(initial))
        client = AggregatorGRPCClient(
            "localhost",
            stage.settings.network.port,
            aggregator_name(RUN),
            RUN,
            peer_name("west"),
            root_certificate=str(certs / "ca.crt"),
            certificate=str(certs / "party.crt"),
            private_key=str(certs / "party.key"),
        )
        collaborator = Collaborator(
            peer_name("west"),
            aggregator_name(RUN),
            RUN,
            client,
            SiteTaskRunner(training),  # type: ignore[arg-type]
            {name: task for name, task in render(stage.settings)["tasks"].items() if name != "settings"},
            opt_treatment="CONTINUE_LOCAL",
            compression_pipeline=NoCompressionPipeline(),
        )
        collaborator.run()
        assert stage.wait(AGGREGATOR) == 0
        model = initial
        for round in (1, 2, 3):
            model = model + (training.train(round, {MODEL: model}).sections[MODEL] - model)
            assert stage.checkpoint(round).tobytes() == model.tobytes()
        assert [event.body.nll for event in stage.events(RoundFinished)] == [81.0, 82.0, 83.0]
        assert not stage.events(UpdateRefused)
    finally:
        stage.close()
