"""A run whose sites and rounds change while it goes on."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from fedmol.cli.main import run as fedmol
from fedmol.errors import Exit
from fedmol.fl.federation import Settings
from fedmol.fl.payload import vector_digest
from fedmol.pki import certificates
from fedmol.telemetry.events.round_events import RoundFinished, RoundStarted
from fedmol.telemetry.events.run_events import ChangeRefused, RunFinished, RunStarted, SettingsChanged
from fedmol.telemetry.log import Event
from tests.support.stage import AGGREGATOR, Stage, small_settings

Build = Callable[[Settings], Stage]

SITE = "fedmol_collaborator.site_training:SiteTraining"


def four_sites() -> Settings:
    return small_settings(
        sites=[{"name": name} for name in ("a", "b", "c", "d")],
        training={"rounds": 6, "local_steps": 3},
        rounds={"quorum": 3, "lost_after": 4, "farewell": 60},
    )


def sign(run: Stage, *options: str) -> None:
    work, authority = run.folder / AGGREGATOR, run.folder / "certs" / "authority"
    assert fedmol(["change", str(work), "--ca", str(authority), *options]) == 0


def let_in(run: Stage, name: str, like: str) -> None:
    """Make what a site needs that was not there when the run began, with the molecules of another one."""
    authority, folder = run.folder / "certs" / "authority", run.folder / "sites" / name
    certificates.issue_site(authority, run.folder / "certs" / f"site-{name}", name, timedelta(days=1))
    folder.mkdir()
    (folder / "shard.csv").write_bytes((run.folder / "sites" / like / "shard.csv").read_bytes())
    party = run.parties[like]
    command = [word.replace(f"site-{like}", f"site-{name}").replace(f"/{like}", f"/{name}") for word in party.command]
    command[command.index("--site") + 1] = name
    run.parties[name] = replace(party, name=name, command=command, log=run.folder / "logs" / f"{name}.log")


def play(run: Stage) -> None:
    """One site is removed, one added, one comes back after two rounds, and there are four rounds more."""
    let_in(run, "e", like="d")
    run.start(AGGREGATOR, "a", "b", "d")
    run.wait_for(RunStarted)
    sign(run, "--from-round", "3", "--remove", "d", "--quorum", "2")
    sign(run, "--from-round", "4", "--quorum", "3")
    sign(run, "--from-round", "5", "--add", "e", "--quorum", "4")
    sign(run, "--from-round", "6", "--rounds", "10")
    run.crash("c", f"{SITE}.validate", "before", 2)
    assert run.wait("c") == -signal.SIGKILL
    run.wait_for(RoundStarted, lambda event: event.round == 4)
    run.start("c", "e")
    assert run.wait("d") == Exit.REMOVED
    assert {name: run.wait(name) for name in (AGGREGATOR, "a", "b", "c", "e")} == dict.fromkeys(
        (AGGREGATOR, "a", "b", "c", "e"), 0
    )


@pytest.mark.slow
def test_the_log_tells_all_changes_and_the_same_again_gives_the_same_bytes(stage: Build) -> None:
    models = []
    for _ in range(2):
        run = stage(four_sites())
        play(run)
        counted = {event.round: event.body.sites for event in run.events(RoundFinished)}
        assert counted == {
            1: ["a", "b", "c", "d"],
            2: ["a", "b", "d"],
            3: ["a", "b"],
            4: ["a", "b", "c"],
            **{round: ["a", "b", "c", "e"] for round in range(5, 11)},
        }
        missed = {event.round: event.body.missing for event in run.events(RoundFinished)}
        assert missed == {2: ["c"], 3: ["c"], **{round: [] for round in (1, *range(4, 11))}}
        assert [(event.round, event.body.changes.said()) for event in run.events(SettingsChanged)] == [
            (3, {"remove": ["d"], "quorum": 2}),
            (4, {"quorum": 3}),
            (5, {"add": ["e"], "quorum": 4}),
            (6, {"rounds": 10}),
        ]
        for site in ("a", "b", "c", "e"):
            assert [event.body.number for event in run.events(SettingsChanged, site)] == [1, 2, 3, 4]
        models.append(_final_models(run))
    assert len({digest for held in models for digest in held}) == 1


def _final_models(run: Stage) -> list[str]:
    """The bytes of the final model wherever it has to be, and the digest of its weights."""
    folders = [run.folder / AGGREGATOR, *(run.folder / "sites" / site for site in ("a", "b", "c", "e"))]
    files = {(folder / "model.safetensors").read_bytes() for folder in folders}
    assert len(files) == 1
    (finished,) = run.events(RunFinished)
    assert finished.body.model_digest == vector_digest(run.checkpoint(10))
    return [finished.body.model_digest]


def _is_after(seq: int, event: Event[ChangeRefused]) -> bool:
    return event.seq > seq


def _with(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_restart_with_other_settings_is_refused_and_names_them(stage: Build) -> None:
    run = stage(small_settings())
    run.start(AGGREGATOR)
    run.wait_for(RunStarted)
    run.signal(AGGREGATOR, signal.SIGKILL)
    run.wait(AGGREGATOR)
    settings = run.folder / "settings.yaml"
    before = settings.read_bytes()
    _with(settings, "seed: 0", "seed: 1")
    _with(settings, "  rounds: 3", "  rounds: 5")
    _with(settings, "- name: west", "- name: west\n- name: third")
    run.start(AGGREGATOR)
    assert run.wait(AGGREGATOR) == Exit.CHANGE_REFUSED
    for entry in (
        "seed is 1, the run has 0",
        "training.rounds is 5, the run has 3",
        "sites is ['model', 'third', 'west']",
    ):
        assert entry in run.log(AGGREGATOR)
    settings.write_bytes(before)
    run.start()
    assert {name: run.wait(name) for name in run.parties} == dict.fromkeys(run.parties, 0)


def test_a_change_that_does_not_fit_is_named_and_the_run_goes_on(stage: Build, tmp_path: Path) -> None:
    run = stage(small_settings())
    run.start(AGGREGATOR)
    run.wait_for(RunStarted)
    certificates.make_ca(tmp_path / "other", "fedmol", timedelta(days=1))
    work, other = run.folder / AGGREGATOR, tmp_path / "other"
    assert fedmol(["change", str(work), "--ca", str(other), "--quorum", "1"]) == Exit.CHANGE_REFUSED
    refused = run.wait_for(ChangeRefused)
    assert refused.body.reason == "certificate-foreign"
    for content in (b"", b"{}", b"[" * 100_000, bytes(100_000)):
        (work / "changes" / "0001.json").write_bytes(content)
        refused = run.wait_for(ChangeRefused, partial(_is_after, refused.seq))
    sign(run, "--quorum", "1")
    run.wait_for(SettingsChanged)
    run.start("model", "west")
    assert {name: run.wait(name) for name in run.parties} == dict.fromkeys(run.parties, 0)
