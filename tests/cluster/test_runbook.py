"""The runbook, word for word: every block of it is run, in order, each in the terminal that it is for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from fedmol.training.model_file import load_model
from tests.support.consortium import ROOT, run

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(2400)]

RUNBOOK = ROOT / "docs" / "runbook.md"
SITES = ("north", "south", "west")
PARTIES = ("coordinator", *SITES, "east")
PORT = "30551"
_BLOCK = re.compile(r"^```sh (?P<whose>.+)\n(?P<commands>(?:.*\n)*?)```$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    line: int
    terminals: tuple[str, ...]
    commands: str


def blocks() -> Iterator[Block]:
    text = RUNBOOK.read_text()
    for found in _BLOCK.finditer(text):
        whose = found["whose"]
        terminals = SITES if whose == "site" else tuple(whose.split())
        yield Block(text[: found.start()].count("\n") + 1, terminals, found["commands"])


def test_every_block_is_for_a_terminal_that_there_is() -> None:
    assert {name for block in blocks() for name in block.terminals} == {*PARTIES, "between"}


@pytest.fixture
def folder(cluster: None, tmp_path: Path) -> Iterator[Path]:
    for party in PARTIES:
        (tmp_path / party).mkdir()
    yield tmp_path
    spaces = [namespace(tmp_path, party) for party in PARTIES]
    subprocess.run(["kubectl", "delete", "namespace", *spaces, "--ignore-not-found"], check=True)


def namespace(folder: Path, party: str) -> str:
    return f"{uuid.uuid5(uuid.NAMESPACE_OID, str(folder)).hex[:6]}-{party}"


def play(block: Block, terminal: str, folder: Path, address: str) -> None:
    own = {} if terminal == "between" else {"SITE": terminal, "NS": namespace(folder, terminal)}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, **own, "PATH": path, "FEDMOL": str(ROOT), "ADDRESS": address, "PORT": PORT}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.commands],
        cwd=folder if terminal == "between" else folder / terminal,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, f"{RUNBOOK.name}:{block.line} at {terminal}:\n{done.stdout}\n{done.stderr}"


@pytest.mark.long
def test_the_runbook_leads_to_a_model(folder: Path) -> None:
    address = run(
        "kubectl", "get", "nodes", "-o", "jsonpath={.items[0].status.addresses[?(@.type=='InternalIP')].address}"
    )
    with ThreadPoolExecutor(len(PARTIES)) as people:  # at each terminal somebody else
        for block in blocks():
            for done in [people.submit(play, block, terminal, folder, address) for terminal in block.terminals]:
                done.result()
    assert load_model(folder / "coordinator" / "results" / "model.safetensors")
    assert "<svg" in (folder / "coordinator" / "results" / "report.html").read_text()
    assert len((folder / "coordinator" / "molecules.csv").read_text().splitlines()) > 10
    left = run("kubectl", "get", "namespaces", "-o", "name")
    assert namespace(folder, "north") not in left
