"""An undisturbed run: what it leaves behind and what it is made of."""

from __future__ import annotations

import signal
from collections.abc import Callable

import numpy as np
import pytest
from blake3 import blake3
from safetensors.numpy import load_file

from fedmol.fl.federation import Settings
from fedmol.report.pages import write_report
from fedmol.telemetry.events.round_events import RoundFinished, RoundOpened, UpdateSent
from fedmol.telemetry.events.run_events import RunFinished, RunStarted
from fedmol.telemetry.events.site_events import AgreementReached, SiteJoined
from fedmol.telemetry.log import verify
from fedmol.training.assembly import denoiser_of
from fedmol.training.parameter_vector import flatten
from tests.support.stage import AGGREGATOR, Stage, small_settings

Build = Callable[[Settings], Stage]


def test_everyone_logs_the_run_in_an_unbroken_chain(undisturbed: Stage) -> None:
    for name in undisturbed.parties:
        assert verify(undisturbed.events_path(name)) > 0
        assert len(undisturbed.events(RunFinished, name)) == 1
    assert [event.round for event in undisturbed.events(RoundFinished)] == [1, 2, 3]


def test_one_round_gives_the_weighted_mean_of_the_updates(stage: Build) -> None:
    run = stage(small_settings(training={"rounds": 1}, data={"split": {"kind": "uneven", "sizes": [1, 3]}}))
    run.start()
    assert {name: run.wait(name) for name in run.parties} == dict.fromkeys(run.parties, 0)
    agreement = run.events(AgreementReached)[0].body
    finished = run.events(RoundFinished)[0].body
    assert finished.weights == pytest.approx(agreement.weights)
    assert agreement.molecules["west"] > 2 * agreement.molecules["model"]
    updates = {
        site: load_file(run.folder / "sites" / site / "state" / "round-0001.safetensors")["update"]
        for site in run.sites
    }
    total = sum(agreement.molecules.values())
    mean = sum(updates[site].astype(float) * count / total for site, count in agreement.molecules.items())
    initial = flatten(denoiser_of(run.settings))
    final = run.checkpoint(1)
    np.testing.assert_allclose(final, mean, rtol=0, atol=1e-6)
    assert np.abs(final - initial).max() > 1e-4
    assert not np.array_equal(updates["model"], updates["west"])


def test_the_same_seeds_give_the_same_bytes(undisturbed: Stage, stage: Build) -> None:
    again = stage(small_settings())
    again.start()
    assert {name: again.wait(name) for name in again.parties} == dict.fromkeys(again.parties, 0)
    ours, theirs = (run.folder / AGGREGATOR / "model.safetensors" for run in (again, undisturbed))
    assert ours.read_bytes() == theirs.read_bytes()


def test_what_leaves_a_site_is_one_tensor_and_counts(undisturbed: Stage) -> None:
    for site in undisturbed.sites:
        sent = undisturbed.events(UpdateSent, site)
        size = undisturbed.events(RunStarted)[0].body.model_bytes
        assert [[tensor.name for tensor in event.body.tensors] for event in sent] == [["model"]] * 3
        assert [event.body.bytes for event in sent] == [size] * 3
    joined = undisturbed.events(SiteJoined)
    assert all(set(event.body.said()) == {"molecules", "census"} for event in joined)
    assert all(set(event.body.census.said()) == {"atoms", "bonds", "sizes"} for event in joined)


def test_the_aggregator_s_folder_holds_no_site_s_own_model_when_the_run_is_over(undisturbed: Stage) -> None:
    work = undisturbed.folder / AGGREGATOR
    left = {str(path.relative_to(work)) for path in work.rglob("*") if path.is_file()}
    rounds = {f"rounds/round-000{round}.safetensors" for round in (1, 2, 3)}
    own = {"agreement.json", "alive", "events.jsonl", "lock", "model.safetensors", "owner.json", "settings.yaml"}
    assert left == own | rounds


def test_uploads_lie_under_their_digests_and_those_of_the_round_before_are_kept(stage: Build) -> None:
    run = stage(small_settings())
    run.start("model", "west")
    run.crash(AGGREGATOR, "fedmol.fl.checkpoints:Checkpoints.save", "before", 3)
    assert run.wait(AGGREGATOR) == -signal.SIGKILL
    work = run.folder / AGGREGATOR
    assert {folder.name for folder in work.glob("uploads/round-*")} == {"round-0002", "round-0003"}
    kept = list(work.glob("uploads/round-*/*.safetensors"))
    assert len(kept) == 4
    for path in kept:
        assert f"model-{blake3(load_file(path)['model'].tobytes()).hexdigest()}" == path.stem


def test_every_round_s_opening_tells_a_site_whether_its_update_counted(undisturbed: Stage) -> None:
    digests = [event.body.model_digest for event in undisturbed.events(RoundFinished)]
    for site in undisturbed.sites:
        opened = undisturbed.events(RoundOpened, site)
        assert [event.body.counted for event in opened] == [None, True, True]
        assert [event.body.model_digest for event in opened][1:] == digests[:-1]


def test_an_aggregator_started_again_after_the_end_finds_it_done(undisturbed: Stage) -> None:
    before = undisturbed.checkpoint(3).tobytes()
    undisturbed.start(AGGREGATOR)
    assert undisturbed.wait(AGGREGATOR) == 0
    assert undisturbed.checkpoint(3).tobytes() == before
    assert len(undisturbed.events(RoundFinished)) == 3


def test_the_coordinator_s_folder_gives_a_report(undisturbed: Stage) -> None:
    page = write_report(undisturbed.folder / AGGREGATOR).read_text()
    assert "3 of 3 rounds finished" in page
    assert all(site in page for site in undisturbed.sites)
