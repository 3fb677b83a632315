from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fedmol.cli.sample import sample
from fedmol.cli.train import train
from fedmol.errors import Exit, FedmolError

MOLECULES = ["CCO", "CCN", "CCC", "CC=O", "C1CC1", "C#N", "COC", "CNC", "CC(C)O", "OCCO", "NCCO", "C=C", "CC#N", "CF"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "molecules.csv"
    path.write_text("\n".join(["smiles", *MOLECULES]) + "\n")
    return path


def call(command, *arguments: object) -> Result:  # type: ignore[no-untyped-def]
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_train_and_sample(table: Path, tmp_path: Path) -> None:
    model, samples = tmp_path / "model.safetensors", tmp_path / "samples.smi"
    options = ("--steps", 4, "--batch-size", 8, "--layers", 1)
    trained = call(train, table, *options, "--out", model)
    assert trained.exit_code == 0, trained.output
    assert "validation NLL" in trained.output
    again = tmp_path / "again.safetensors"
    call(train, table, *options, "--out", again, "--resume")
    assert again.read_bytes() == model.read_bytes()
    once_more = call(train, table, *options, "--out", again, "--resume")
    assert f"no interrupted training of {again}: this one starts at step 0" in unwrapped(once_more)
    assert f"written: {again} (replaced)" in unwrapped(once_more)

    made = call(sample, model, "-n", 6, "--steps", 5, "--out", samples)
    assert made.exit_code == 0, made.output
    assert f"{len(samples.read_text().splitlines())} valid" in made.output
    assert "of 6" in made.output


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    assert refusal(call(train, tmp_path / "none.csv")) is Exit.BAD_DATA
    assert refusal(call(sample, tmp_path / "none.safetensors")) is Exit.BAD_MODEL


def test_a_wrong_preset_is_said(table: Path) -> None:
    assert refusal(call(train, table, "--preset", "huge")) is Exit.BAD_SETTINGS


def test_minutes_stand_for_steps(table: Path, tmp_path: Path) -> None:
    options = ("--batch-size", 4, "--layers", 1, "--out", tmp_path / "model.safetensors")
    assert call(train, table, *options, "--minutes", 0.01).exit_code == 0
    assert refusal(call(train, table, *options, "--minutes", 1, "--steps", 4)) is Exit.USAGE


def unwrapped(result: Result) -> str:
    return result.output.replace("\n", "")


def refusal(result: Result) -> Exit:
    assert isinstance(result.exception, FedmolError)
    return result.exception.exit
