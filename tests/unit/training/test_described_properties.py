"""Properties in a model file: carried, bounded, and without a trace where there are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from fedmol.chem import vocabulary as vocabularies
from fedmol.diffusion import Census, NoiseModel
from fedmol.documents import DocumentError
from fedmol.errors import Exit, FedmolError
from fedmol.models import build
from fedmol.properties import MOST_PROPERTIES, Property
from fedmol.training import TrainedModel, flatten, load_model, save_model
from fedmol.training.model_description import Description

PROPERTIES = Property("logp", "", 1.5, 0.9), Property("homo", "eV", -6.54, 0.6)
NOISE = NoiseModel.from_census(
    Census(torch.tensor([5, 2, 1, 0]), torch.tensor([8, 6, 2, 2, 0]), torch.tensor([0, 1, 0, 1, 1, 0, 0, 0, 0, 0]))
)
QM9 = vocabularies.get("qm9")


def saved(path: Path, properties: tuple[Property, ...], built_for: int | None = None) -> TrainedModel:
    number = len(properties) if built_for is None else built_for
    denoiser = build("small", 4, 5, 9, seed=3, layers=1, properties=number)
    save_model(path, denoiser, preset="small", vocabulary=QM9, noise=NOISE, properties=properties)
    model = load_model(path)
    assert flatten(model.denoiser).tobytes() == flatten(denoiser).tobytes()
    return model


def test_properties_come_back_in_their_order_with_their_standardisation(tmp_path: Path) -> None:
    model = saved(tmp_path / "model.safetensors", PROPERTIES)
    assert model.properties == PROPERTIES
    assert model.denoiser.properties == 2
    assert model.to(torch.device("cpu")).properties == PROPERTIES


def test_without_properties_nothing_is_said_of_them(tmp_path: Path) -> None:
    model = saved(tmp_path / "model.safetensors", ())
    assert model.properties == ()
    said = json.loads(Description("small", 1, QM9, NOISE, {}).encode())
    assert "properties" not in said
    assert said["format"] == 3


@pytest.mark.parametrize("built_for", [0, 1, 3])
def test_a_model_is_not_saved_with_other_properties_than_its_own(tmp_path: Path, built_for: int) -> None:
    with pytest.raises(ValueError, match=f"a model of {built_for} properties"):
        saved(tmp_path / "model.safetensors", PROPERTIES, built_for)


def test_a_file_that_says_other_properties_than_its_weights_have_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    saved(path, PROPERTIES)
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    said = json.loads(header["__metadata__"]["fedmol"])
    del said["properties"][1]
    header["__metadata__"]["fedmol"] = json.dumps(said)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[end:])
    with pytest.raises(FedmolError, match="conditions_in") as refused:
        load_model(path)
    assert refused.value.exit is Exit.BAD_MODEL


GOOD = {"name": "logp", "unit": "", "mean": 1.5, "scale": 0.9}


@pytest.mark.parametrize(
    "properties",
    [
        [],
        {},
        None,
        "logp",
        ["logp"],
        [GOOD, GOOD],
        [{**GOOD, "name": f"p{k}"} for k in range(MOST_PROPERTIES + 1)],
        [{**GOOD, "other": 1}],
        [{key: GOOD[key] for key in ("name", "unit", "mean")}],
        *([{**GOOD, "name": name}] for name in ("", "LogP", "a b", "x" * 40, None, 3)),
        *([{**GOOD, "unit": unit}] for unit in ("x" * 20, "\x1b[2J", None, 3)),
        *([{**GOOD, "mean": mean}] for mean in ("1", None, True, 1e300, 10**400, float("nan"), float("inf"))),
        *([{**GOOD, "scale": scale}] for scale in ("1", None, True, 0, -1, 1e-300, 1e300, 10**400, float("nan"))),
    ],
)
def test_what_a_file_says_of_properties_is_typed_and_bounded(properties: Any) -> None:
    said = json.loads(Description("small", 1, QM9, NOISE, {}, PROPERTIES).encode())
    assert said["format"] == 4
    assert Description.decode(json.dumps(said)).properties == PROPERTIES
    with pytest.raises(DocumentError):
        Description.decode(json.dumps({**said, "properties": properties}))


def test_formats_say_properties_or_do_not() -> None:
    said = json.loads(Description("small", 1, QM9, NOISE, {}, PROPERTIES).encode())
    with pytest.raises(DocumentError, match="properties"):
        Description.decode(json.dumps({**said, "format": 3}))
    del said["properties"]
    with pytest.raises(DocumentError, match="properties"):
        Description.decode(json.dumps(said))
