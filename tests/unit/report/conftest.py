"""A run folder made by hand: three sites, two rounds, one site that was lost on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fedmol.chem.smiles_to_graphs import encode
from fedmol.chem.vocabulary import VOCABULARIES
from fedmol.data.card import DataCard, Rejection, ScaffoldCount
from fedmol.diffusion import Likelihood
from fedmol.evaluation import Evaluation
from fedmol.evaluation.distances import distances
from fedmol.evaluation.evaluation import Example
from fedmol.evaluation.quality import Quality, Rate
from fedmol.evaluation.resemblance import Figure, Resemblance
from fedmol.fl.federation import dump, parse
from fedmol.telemetry.events.round_events import (
    RoundFinished,
    RoundModelReceived,
    RoundStarted,
    TensorSent,
    UpdateReceived,
    UpdateSent,
)
from fedmol.telemetry.events.run_events import RunFinished, RunStarted
from fedmol.telemetry.events.site_events import AgreementReached, Histograms, SiteJoined, SiteLost, SiteRefused
from fedmol.telemetry.log import EventLog

SITES = {"north": 600, "south": 300, "west": 100}
QM9 = VOCABULARIES["qm9-charged"]
HOSTILE = '<script src="https://evil.example/x.js">alert(1)</script>'


def evaluation(nll: float = 80.5, validity: int = 180) -> Evaluation:
    graphs = encode(["CCO", "CC", "C1CC1"], QM9).graphs
    quality = Quality(
        validity=Rate(validity, 200),
        relaxed_validity=Rate(190, 200),
        connected=Rate(188, 200),
        uniqueness=Rate(187, 190),
        uniqueness_strict=Rate(178, 180),
        novelty=Rate(120, 187),
        novelty_strict=Rate(115, 178),
        valid_unique_novel=Rate(115, 200),
    )
    return Evaluation(
        vocabulary=QM9.name,
        samples=200,
        known=1000,
        test=100,
        seed=0,
        sampling_steps=500,
        sampling_seconds=21.0,
        likelihood=Likelihood(nll, nll / 2, nll / 3, 0.4, 100, {}),
        nll_blocks=(nll - 1, nll, nll + 1),
        quality=quality,
        distances=distances(graphs, graphs[:2], QM9),
        resemblance=Resemblance(
            molecules=180,
            real=100,
            figures=(Figure("KL score", 0.91234, 0.98765), Figure("Scaf", None, None)),
            divergences={"MolWt": 0.0123},
            in_test=Rate(9, 178),
            new_scaffolds=Rate(30, 60),
            new_scaffolds_of_test=Rate(5, 50),
        ),
        examples=(Example("CCO", False), Example("CC1CO1", True), Example("no molecule" + HOSTILE, True)),
    )


def card(source: str) -> DataCard:
    return DataCard(
        source=source,
        column="smiles",
        vocabulary=QM9.name,
        vocabulary_digest=QM9.digest(),
        read=12,
        kept=8,
        duplicates=1,
        rejected={"salt " + HOSTILE: Rejection(count=2, lines=(3, 7)), "not a SMILES": Rejection(count=1, lines=(5,))},
        sizes={2: 3, 5: 5},
        atoms={"C": 20, "O": 4},
        bonds={"single": 22},
        scaffolds=2,
        largest_scaffolds=(
            ScaffoldCount(smiles="", count=6),
            ScaffoldCount(smiles="c1ccoc1 |$" + HOSTILE + "$|", count=2),
        ),
    )


@dataclass(frozen=True)
class RunFolder:
    """Writes the pieces of a run; a test takes those that it needs."""

    path: Path

    def settings(self, **changes: Any) -> RunFolder:
        document: dict[str, Any] = {"sites": [{"name": name} for name in SITES], "training": {"rounds": 2}, **changes}
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / "settings.yaml").write_text(dump(parse(document, "test")))
        return self

    def log(self, writer: Callable[[EventLog], None], name: str = "aggregator") -> RunFolder:
        path = self.path / ("aggregator" if name == "aggregator" else f"sites/{name}") / "events.jsonl"
        writer(EventLog(path, run="harbour-7", site=name))
        return self

    def evaluated(self, baseline: bool = False) -> RunFolder:
        (self.path / "evaluation.json").write_text(evaluation().to_json())
        if baseline:
            (self.path / "baseline").mkdir()
            (self.path / "baseline" / "evaluation.json").write_text(evaluation(78.0, 184).to_json())
            (self.path / "baseline" / "losses.csv").write_text("step,loss\n10,4.0\n20,3.0\n30,2.5\n40,2.25\n")
        return self

    def site_files(self) -> RunFolder:
        for name in SITES:
            self.log(site_events, name)
            (self.path / "sites" / name / "card.json").write_text(card(f"{name}.csv").to_json())
        return self


def start(log: EventLog) -> None:
    log.write(RunStarted(sites=list(SITES), rounds=2, quorum=2, parameters=12345, model_bytes=49380))
    for site, molecules in SITES.items():
        census = Histograms(atoms=[1, 2], bonds=[3, 4, 5], sizes=[0, 1])
        log.write(SiteJoined(molecules=molecules, census=census), site=site)
    weights = {site: molecules / 1000 for site, molecules in SITES.items()}
    log.write(AgreementReached(molecules=SITES, weights=weights, local_steps=60))


def first_round(log: EventLog) -> None:
    log.write(RoundStarted(), round=1)
    for site in SITES:
        log.write(UpdateReceived(molecules=SITES[site], bytes=49380, norm=1.5), site=site, round=1)
    weights = {site: molecules / 1000 for site, molecules in SITES.items()}
    _finish(log, 1, weights, [])


def second_round(log: EventLog) -> None:
    """West is lost, and a stranger knocks twice."""
    log.write(RoundStarted(), round=2)
    log.write(SiteLost(silent_seconds=61.0), site="west")
    for _ in range(2):
        log.write(SiteRefused(reason="certificate-name", detail=f"names {HOSTILE}, not a site"), site=HOSTILE)
    _finish(log, 2, {"north": 2 / 3, "south": 1 / 3}, ["west"])


def _finish(log: EventLog, round: int, weights: dict[str, float], missing: list[str]) -> None:
    log.write(
        RoundFinished(
            sites=list(weights),
            weights=weights,
            missing=missing,
            seconds=12.5,
            seconds_outside_training=1.25,
            aggregator_cpu_seconds=0.4,
            loss=3.5 / round,
            nll=120.0 / round,
            site_loss=dict.fromkeys(weights, 3.5 / round),
            site_nll=dict.fromkeys(weights, 120.0 / round),
            model_digest="ab" * 32,
        ),
        round=round,
    )


def end(log: EventLog) -> None:
    missed = {"west": 1}
    log.write(RunFinished(outcome="quorum", missing=["west"], missed_rounds=missed, rounds=2, model_digest="ab" * 32))


def whole(log: EventLog) -> None:
    for part in (start, first_round, second_round, end):
        part(log)


def site_events(log: EventLog) -> None:
    for round in (1, 2):
        log.write(RoundModelReceived(bytes=49380), round=round)
        log.write(UpdateSent(tensors=[TensorSent(name="model", shape=[12345], bytes=49380)], bytes=49380), round=round)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "harbour-7")


@pytest.fixture
def finished(folder: RunFolder) -> RunFolder:
    """The whole run, with evaluation and baseline."""
    return folder.settings().log(whole).site_files().evaluated(baseline=True)


@pytest.fixture
def going_on(folder: RunFolder) -> RunFolder:
    """A run after its first round, its sites elsewhere."""
    return folder.settings().log(start).log(first_round)
