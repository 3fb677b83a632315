"""What is not installed is named, with the extra that brings it."""

from __future__ import annotations

import re
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from fedmol import extras
from fedmol.cli.main import run
from fedmol.data.molecule_files import read_table
from fedmol.errors import Exit, FedmolError
from fedmol.evaluation import resemblance as module
from fedmol.evaluation.resemblance import resemblance

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation of the library alone."""
    optional = {name for modules in extras.EXTRAS.values() for name in modules} | set(extras.PROGRAMS)
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name in optional else find_spec(name))


def _declared() -> dict[str, list[Requirement]]:
    project: dict[str, Any] = tomllib.loads((ROOT / "shared/pyproject.toml").read_text())["project"]
    return {name: list(map(Requirement, lines)) for name, lines in project["optional-dependencies"].items()}


def _modules(extra: str, declared: dict[str, list[Requirement]]) -> set[str]:
    names = set[str]()
    for requirement in declared[extra]:
        if requirement.name == "fedmol":
            names |= {name for other in requirement.extras for name in _modules(other, declared)}
        else:
            names.add(requirement.name.replace("-", "_"))
    return names


def test_the_package_declares_what_the_code_asks_for() -> None:
    declared = _declared()
    assert {name: set(modules) for name, modules in extras.EXTRAS.items()} == {
        name: _modules(name, declared) for name in declared if name != "all"
    }
    assert _modules("all", declared) == {name for modules in extras.EXTRAS.values() for name in modules}


def test_what_is_there_is_let_pass() -> None:
    for extra in extras.EXTRAS:
        extras.require(extra, "this test")
    extras.require_programs("this test")


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["certs", "--help"], "certificates"),
        (["change", "--help"], "certificates"),
        (["doctor", "--help"], "certificates"),
        (["disturb", "--help"], "containers"),
        (["down", "--help"], "containers"),
        (["export", "--help"], "report"),
        (["log", "--help"], "certificates"),
        (["prepare", "--help"], "certificates"),
        (["report", "--help"], "report"),
        (["run", "--help"], "run"),
        (["up", "--help"], "containers"),
    ],
)
@pytest.mark.usefixtures("bare")
def test_a_command_names_the_extra_that_it_needs(
    arguments: list[str],
    extra: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == Exit.EXTRA_MISSING
    said = capsys.readouterr().err
    assert f"pip install './shared[{extra}]'" in said
    assert all(module in said for module in extras.EXTRAS[extra])


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("command", ["sample", "train", "evaluate", "data", "render"])
def test_the_library_s_own_commands_need_none(command: str) -> None:
    assert run([command, "--help"]) == Exit.DONE


@pytest.mark.usefixtures("bare")
def test_a_parquet_file_names_its_extra(tmp_path: Path) -> None:
    path = tmp_path / "molecules.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(FedmolError) as caught:
        read_table(path)
    assert caught.value.exit is Exit.EXTRA_MISSING
    assert "duckdb" in caught.value.message


def test_a_whole_run_needs_both_programs(bare: None) -> None:
    with pytest.raises(FedmolError, match="fedmol_aggregator and fedmol_collaborator"):
        extras.require_programs("fedmol run")


def test_fcd_is_left_out_and_that_is_said(bare: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FEWEST_FOR_FCD", 3)
    found = resemblance(["CCO", "CCN", "CCC"], ["CCO", "CCN", "CC"], [], lambda *_: None)
    assert found is not None
    assert all(one.name != "FCD" for one in found.figures)
    assert "fcd is not installed" in found.fcd_left_out


def test_the_page_has_every_extra() -> None:
    page = (ROOT / Exit.EXTRA_MISSING.page).read_text()
    assert re.findall(r"^\| `([a-z]+)` \|", page, flags=re.MULTILINE) == list(extras.EXTRAS)
