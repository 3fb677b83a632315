from __future__ import annotations

import torch

from fedmol.graphs import Graphs
from fedmol_collaborator.site_training import _some


def test_validation_molecules_are_no_prefix_of_a_sorted_shard() -> None:
    counts = torch.arange(1, 101)
    graphs = Graphs(torch.zeros(100, 1, dtype=torch.int8), torch.zeros(100, 1, 1, dtype=torch.int8), counts)
    chosen = _some(graphs, 20, seed=0).counts
    assert len(set(chosen.tolist())) == 20
    assert 30 < chosen.double().mean() < 71  # a prefix would have 10.5
    assert torch.equal(chosen, _some(graphs, 20, seed=0).counts)
    assert len(_some(graphs, 1000, seed=0)) == 100
