from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from fedmol.errors import Exit, FedmolError
from fedmol.fl.federation import Settings, dump, load, parse
from fedmol.fl.identity import shared_settings
from fedmol.fl.run_manifest import manifest_of, settings_of
from fedmol.training.assembly import vocabulary_of

TWO_SITES = {"sites": [{"name": "north"}, {"name": "south"}]}


def test_defaults_fill_everything_but_the_sites() -> None:
    settings = parse(TWO_SITES, "test")
    assert settings.site_names == ["north", "south"]
    assert settings.quorum == 2
    assert Settings.model_validate(yaml.safe_load(dump(settings))) == settings


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sites": []}, "sites"),
        ({"sites": [{"name": "north"}, {"name": "north"}]}, "found twice: north"),
        ({"sites": [{"name": "North Lab"}]}, "sites.0.name"),
        ({"sites": [{"name": "aggregator"}]}, "sites.0.name: a site cannot be called aggregator"),
        ({"network": {"address": "local host\n/../"}}, "network.address"),
        ({"network": {"listen": "http://x"}}, "network.listen"),
        ({"strategy": {"local_method": "scaffold"}}, "strategy: it has no name, such as name: fedavg"),
        ({"rounds": {"quorum": 3}}, "only 2 sites"),
        ({"training": {"rouns": 3}}, "training.rouns"),
        ({"training": {"learning_rate": -1}}, "training.learning_rate"),
        ({"data": {"split": {"kind": "dirichlet"}}}, "data.split"),
        ({"data": {"split": {"kind": "uneven", "sizes": [1, 2, 3]}}}, "3 entries for 2 sites"),
        ({"network": {"port": 70000}}, "network.port"),
        ({"network": {"call_deadline": float("inf")}}, "network.call_deadline"),
        ({"training": {"learning_rate": float("inf")}}, "training.learning_rate"),
        ({"training": {"weight_decay": float("nan")}}, "training.weight_decay"),
        ({"rounds": {"quorum": True}}, "rounds.quorum: "),
        ({"seed": False}, "seed: "),
        ({"strategy": {"name": "fedadam", "learning_rate": 0}}, " strategy.learning_rate: "),
        ({"strategy": {"name": "fedadam", "tau": float("inf")}}, " strategy.tau: "),
        ({"strategy": {"name": "fedadam", "beta_3": 1}}, " strategy.beta_3: "),
        ({"local_method": {"name": "fedprox", "mu": True}}, " local_method.mu: "),
        ({"data": {"split": {"kind": "dirichlet", "alpha": -1}}}, " data.split.alpha: "),
    ],
)
def test_wrong_entries_are_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(FedmolError) as caught:
        parse({**TWO_SITES, **change}, "federation.yaml")
    assert caught.value.exit is Exit.BAD_SETTINGS
    assert said in caught.value.message


@pytest.mark.parametrize("content", ["", "- a\n- b\n", "sites: [", "\x00\x01"])
def test_files_that_are_no_settings_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "federation.yaml"
    path.write_text(content)
    with pytest.raises(FedmolError) as caught:
        load(path)
    assert caught.value.exit is Exit.BAD_SETTINGS
    assert str(path) in caught.value.message


@pytest.mark.parametrize(("said", "read"), [("0100", 64), ("0x10", 16), ("1:30", 90), ("0b11", 3)])
def test_a_number_that_is_not_what_it_looks_like_is_refused(tmp_path: Path, said: str, read: int) -> None:
    path = tmp_path / "federation.yaml"
    path.write_text(f"sites: [{{name: north}}]\nseed: {said}\n")
    with pytest.raises(FedmolError, match=rf"line 2 says {said}, which YAML reads as {read}") as caught:
        load(path)
    assert caught.value.exit is Exit.BAD_SETTINGS


def test_overrides_reach_nested_entries(tmp_path: Path) -> None:
    path = tmp_path / "federation.yaml"
    path.write_text(yaml.safe_dump(TWO_SITES))
    settings = load(path, {"training.rounds": 3, "seed": 7})
    assert (settings.training.rounds, settings.seed) == (3, 7)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FedmolError, match=r"nowhere\.yaml"):
        load(tmp_path / "nowhere.yaml")


OURS = {"name": "ours", "atoms": ["C", "N", "O", "N+"], "max_atoms": 12}


def test_a_vocabulary_may_be_said_in_full() -> None:
    settings = parse({"sites": [{"name": "north"}], "model": {"vocabulary": OURS}}, "test")
    vocabulary = vocabulary_of(settings)
    assert (vocabulary.name, vocabulary.atom_labels, vocabulary.max_atoms) == ("ours", OURS["atoms"], 12)
    assert parse(yaml.safe_load(dump(settings)), "again") == settings
    told = shared_settings(settings)
    assert told["model.vocabulary.name"] == "ours"
    assert (told["model.vocabulary.atoms"], told["model.vocabulary.max_atoms"]) == ("C N O N+", 12)
    assert settings_of(manifest_of("run", settings)).model == settings.model
    assert parse({"sites": [{"name": "north"}], "model": {"vocabulary": {**OURS, "atoms": "C N O N+"}}}, "") == settings
    by_name = shared_settings(parse({"sites": [{"name": "north"}]}, "test"))
    assert [name for name in by_name if name.startswith("model.")] == [
        "model.preset",
        "model.vocabulary",
        "model.layers",
    ]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"atoms": ["C", "Xx"]}, "model.vocabulary: 'Xx' is not an atom type"),
        ({"atoms": ["C", False]}, "model.vocabulary.atoms.1: YAML reads false"),
        ({"max_atoms": 100_000}, "model.vocabulary: max_atoms is 100000"),
        ({"name": "qm9"}, "model.vocabulary: qm9 is the name of a vocabulary that comes with fedmol"),
        ({"name": "Our own"}, "model.vocabulary.name: 'Our own' is no name"),
        ({"bonds": ["single"]}, "model.vocabulary.bonds: there is no such entry"),
    ],
)
def test_a_vocabulary_that_cannot_be_is_named_by_its_place(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(FedmolError, match=re.escape(message)) as caught:
        parse({"sites": [{"name": "north"}], "model": {"vocabulary": {**OURS, **wrong}}}, "test")
    assert caught.value.exit is Exit.BAD_SETTINGS
