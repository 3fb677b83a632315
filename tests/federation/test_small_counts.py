"""Small counts, and who may read what a run leaves behind."""

from __future__ import annotations

import json
from collections.abc import Callable

from safetensors import safe_open

from fedmol.fl.federation import Settings
from fedmol.telemetry.events.site_events import SiteJoined
from tests.support.stage import AGGREGATOR, Stage, small_settings

_LEAST = 7


def test_no_small_count_leaves_a_site_no_sum_is_in_the_model_and_files_are_their_owner_s(
    stage: Callable[[Settings], Stage],
) -> None:
    run = stage(small_settings(training={"rounds": 1}, data={"least_count": _LEAST}))
    run.start()
    assert {name: run.wait(name) for name in run.parties} == dict.fromkeys(run.parties, 0)
    for event in run.events(SiteJoined):
        census = event.body.census
        assert census.sizes[0] == 0
        sent = [*census.atoms, *census.bonds, *census.sizes[1:]]
        assert min(sent) == _LEAST  # some class is rare in every shard
    work = run.folder / AGGREGATOR
    with safe_open(work / "model.safetensors", "np") as file:
        said = json.loads(file.metadata()["fedmol"])
    assert "census" not in said
    shares = [share for kind in said["marginals"].values() for share in kind]
    assert all(share == float(f"{share:.3e}") for share in shares)
    for folder in (work, *(run.folder / "sites" / site for site in run.sites)):
        for path in folder.rglob("*"):
            if path.is_file():
                others = path.stat().st_mode & 0o077
                assert others == (0o040 if path.name == "events.jsonl" else 0), path
