"""The benchmark of a round's cost: both sides compute the same model, and the page says what the data says."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import origin
from benchmarks.federation import page
from benchmarks.federation.cases import molecules_of, settings_of, small_case
from benchmarks.federation.cost import Cost, Side, measure
from benchmarks.federation.figures import SITES, TARGETS, figures_of
from benchmarks.federation.servers import Turn, Update
from fedmol import sealed
from fedmol.errors import Exit, FedmolError

ORIGIN = {"command": "a command", "commit": "0123456789", "machine": "a machine"}


def _cost(sites: int, model_bytes: int, ours: list[Turn], floor: list[Turn], peak: int) -> Cost:
    case = small_case()
    case = type(case)(sites, case.model, rounds=len(ours))
    return Cost(case, model_bytes, Side(ours, peak, "same"), Side(floor, 10**8, "same"))


@pytest.mark.federation
@pytest.mark.slow
def test_aggregator_and_floor_end_with_the_same_model(tmp_path: Path) -> None:
    case = small_case()
    cost = measure(case, tmp_path)
    assert cost.ours.digest == cost.floor.digest
    arrays, account = sealed.load(
        tmp_path / "aggregator" / "rounds" / f"round-{case.rounds + 1:04d}.safetensors", 10**8
    )
    assert hashlib.sha256(arrays["model"].tobytes()).hexdigest() == cost.floor.digest
    molecules = molecules_of(settings_of(case))
    assert account["weights"] == {site: count / sum(molecules.values()) for site, count in molecules.items()}
    updates = [Update(tmp_path / "update", place).values for place in range(case.sites)]
    mean = sum(
        np.float64(weight) * np.frombuffer(update, np.float32)
        for weight, update in zip(account["weights"].values(), updates, strict=True)
    )
    assert np.array_equal(arrays["model"], np.float32(mean))
    assert len(cost.ours.turns) == len(cost.floor.turns) == case.rounds
    for turn in (*cost.ours.turns, *cost.floor.turns):
        assert turn.seconds > 0
        assert turn.cpu_seconds > 0
    assert cost.ours.peak_bytes > cost.model_bytes


@pytest.mark.federation
@pytest.mark.slow
def test_the_command_writes_data_and_page(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.federation", "--small", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=page.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / page.DATA).read_text())
    assert {"cpu_over_floor_2_sites", "wall_over_floor_2_sites", "memory_models_2_sites"} <= set(figures)
    for figure in figures.values():
        assert figure["low"] <= figure["value"] <= figure["high"]
        assert figure["command"]
        assert len(figure["commit"]) == 40
    assert (tmp_path / page.PAGE).read_text() == page.render(figures)


def test_a_small_run_is_not_a_result() -> None:
    command = [sys.executable, "-m", "benchmarks.federation", "--small"]
    done = subprocess.run(command, cwd=page.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == Exit.USAGE
    assert "--out" in done.stderr


@pytest.mark.parametrize(
    ("changed", "refused"),
    [
        ("shared/code.py", True),
        ("benchmarks/new.py", True),
        ("README.md", True),
        ("notes.txt", False),
        (f"docs/results/{page.DATA}", False),
        (f"docs/results/{page.PAGE}", False),
    ],
)
def test_code_that_is_not_committed_gives_no_result(
    changed: str, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(origin, "ROOT", tmp_path)
    for name in ("shared/code.py", "README.md", f"docs/results/{page.PAGE}"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("as it was")
    who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    commit = origin.commit(clean=True)
    (tmp_path / changed).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / changed).write_text("changed")
    assert origin.commit(clean=False) == commit
    if refused:
        with pytest.raises(FedmolError, match=changed):
            origin.commit(clean=True)
    else:
        assert origin.commit(clean=True) == commit


def test_a_ratio_is_that_of_rounds_played_in_turns() -> None:
    ours, floor = [Turn(2.0, 1.0), Turn(3.0, 3.0), Turn(8.0, 2.0)], [Turn(1.0, 1.0), Turn(2.0, 1.0), Turn(2.0, 1.0)]
    figures = figures_of([_cost(2, 10**8, ours, floor, peak=11 * 10**8)], ORIGIN)
    assert figures["cpu_over_floor_2_sites"] == {"value": 2.0, "low": 1.0, "high": 3.0, "model": "0.3 M", **ORIGIN}
    assert figures["wall_over_floor_2_sites"]["value"] == 2.0
    assert figures["memory_models_2_sites"]["value"] == pytest.approx(4.0)
    assert "cpu_over_floor_8_sites" not in figures


def test_the_worst_case_is_the_headline_and_what_misses_its_target_is_said_so() -> None:
    cheap, dear = [Turn(1.0, 1.0)], [Turn(1.0, 1.7)]
    one, other = _cost(8, 10**6, dear, cheap, peak=10**8), _cost(32, 10**6, cheap, cheap, peak=7 * 10**8 + 5 * 10**6)
    figures = figures_of([one, other], ORIGIN)
    assert figures["cpu_over_floor_8_sites"]["value"] == 1.7
    rows = [line for line in page.render(figures).splitlines() if line.startswith("| ") and "over the floor" in line]
    rows += [line for line in page.render(figures).splitlines() if line.startswith("| peak memory beyond")]
    met = {(cells[2], cells[1]): cells[6] for cells in ([part.strip() for part in row.split("|")] for row in rows)}
    assert met["8", TARGETS["cpu_over_floor"][0]] == "**no**"
    assert met["8", TARGETS["wall_over_floor"][0]] == "yes"
    assert met["32", TARGETS["memory_models"][0]] == "**no**"
    assert met["32", TARGETS["cpu_over_floor"][0]] == "yes"


def test_each_site_sends_an_update_of_its_own_and_leaves_the_shared_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "update"
    values = np.linspace(1, 2, 10_000, dtype=np.float32)
    values.tofile(path)
    first, second = (np.frombuffer(Update(path, place).values, np.float32) for place in (0, 1))
    assert not np.array_equal(first, second)
    assert np.array_equal(first[1024:], values[1024:])
    assert np.allclose(first, values, rtol=1e-3)
    assert np.array_equal(np.fromfile(path, np.float32), values)
    assert b"".join(Update(path, 0).pieces()) == first.tobytes()


def test_the_page_quotes_the_figures_that_there_are() -> None:
    figures: dict[str, Any] = page.load()
    if (page.FOLDER / page.DATA).exists():
        wanted = {f"{what}_{sites}_sites" for what in TARGETS for sites in SITES}
        assert wanted <= set(figures)
        assert {name for name in figures if name.startswith("before/")} == set(page.before())
