"""The manifests for `kubectl apply -k` are what the charts make of the default federation's values."""

from __future__ import annotations

import yaml

from k8s.plain_manifests import parties
from k8s.rendering import ROOT


def test_there_is_one_folder_for_each_party() -> None:
    assert parties() == ["aggregator", "north", "south"]
    for party in parties():
        folder = ROOT / "k8s" / "manifests" / party
        objects = list(yaml.safe_load_all((folder / "manifests.yaml").read_text()))
        assert "StatefulSet" in {one["kind"] for one in objects}
        assert all(party in one["metadata"]["name"] for one in objects)
        assert not any("namespace" in one["metadata"] for one in objects)
