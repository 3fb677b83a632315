from __future__ import annotations

from pathlib import Path

import torch

from fedmol.graphs import Graphs
from fedmol.telemetry.events.round_events import RoundModelReceived, UpdateSent
from fedmol.telemetry.log import EventLog
from fedmol_collaborator.site_training import _rounds_sent, _some


def test_validation_molecules_are_no_prefix_of_a_sorted_shard() -> None:
    counts = torch.arange(1, 101)
    graphs = Graphs(torch.zeros(100, 1, dtype=torch.int8), torch.zeros(100, 1, 1, dtype=torch.int8), counts)
    chosen = _some(graphs, 20, seed=0).counts
    assert len(set(chosen.tolist())) == 20
    assert 30 < chosen.double().mean() < 71  # a prefix would have 10.5
    assert torch.equal(chosen, _some(graphs, 20, seed=0).counts)
    assert len(_some(graphs, 1000, seed=0)) == 100


def test_only_the_updates_of_this_run_count_as_sent(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    EventLog(path, run="earlier", site="north").write(UpdateSent(tensors=[], bytes=0), round=4)
    events = EventLog(path, run="now", site="north")
    events.write(RoundModelReceived(bytes=0), round=2)
    events.write(UpdateSent(tensors=[], bytes=0), round=1)
    assert _rounds_sent(events) == {1}
