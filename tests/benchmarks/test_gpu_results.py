"""What is made of the record of a run on a GPU."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import evaluate, five_minutes, molecules, page
from benchmarks.gpu.figures import HEADLINES, figures_of
from benchmarks.gpu.record import NAME, Record, entries
from benchmarks.gpu.stages import STAGES
from fedmol.errors import Exit, FedmolError


@pytest.mark.slow
def test_the_results_say_what_was_measured_and_leave_the_docs_alone(
    finished: Path, encoded: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    before = [path.read_bytes() for path in (page.DATA, page.PAGE, page.README)]
    assert evaluate.main([str(run), "--molecules", str(encoded)]) == 0
    assert [path.read_bytes() for path in (page.DATA, page.PAGE, page.README)] == before
    figures = json.loads((run / "gpu.json").read_text())
    assert set(HEADLINES) <= set(figures)
    for figure in figures.values():
        assert {"value", "low", "high", "command", "commit", "device", "driver", "torch"} <= set(figure)
        assert figure["value"] is None or figure["low"] <= figure["value"] <= figure["high"]
    text = (run / "gpu.md").read_text()
    assert "not run" not in text
    assert "it shows that the stages work, and measures nothing" in text
    assert "| parity digress bfloat16 | gradients |" in text
    assert "**no**" not in text
    assert all(f"`{stage}`" in text for stage in STAGES)


def speed(batch: int, execution: str, rate: float, preset: str = "base") -> dict[str, Any]:
    spread = {"value": rate, "low": rate, "high": rate}
    return {
        "kind": "training_speed",
        "preset": preset,
        "batch": batch,
        "execution": execution,
        "molecules_per_second": spread,
        "share_of_peak": 0.01,
        "peak_memory_bytes": 10**9,
        "megaflop_per_molecule": 100.0,
    }


def test_the_five_minutes_take_neither_the_fastest_nor_the_smallest_batch() -> None:
    found = [
        *(speed(128, "graphs", 60_000), speed(1024, "eager", 90_000), speed(1024, "graphs", 250_000)),
        *(speed(8192, "graphs", 400_000), speed(1024, "graphs", 900_000, "small")),
    ]
    assert five_minutes.choice(found, "base", (1, "eager")) == (1024, "graphs")
    assert five_minutes.choice([], "base", (1024, "eager")) == (1024, "eager")
    assert five_minutes.learning_rate(128) < five_minutes.learning_rate(256) < five_minutes.learning_rate(8192)
    assert five_minutes.learning_rate(8192) == 2 * five_minutes.learning_rate(64)


GPU_RUN = {
    **{"kind": "run", "command": "make gpu", "commit": "abc1234", "gpu": True, "small": False, "whole": True},
    **{"device": "NVIDIA H100 80GB HBM3", "driver": "580.1", "torch": "2.11.0"},
}


@pytest.fixture
def published(tmp_path: Path) -> tuple[Path, Path, Path]:
    """README, data and page after a run on a GPU that had a part of the figures."""
    readme, data, written = tmp_path / "README.md", tmp_path / "gpu.json", tmp_path / "gpu.md"
    readme.write_text(page.README.read_text())
    rate = {"value": 31000.0, "low": 30000.0, "high": 32000.0}
    record = [
        *(GPU_RUN, speed(1024, "graphs", 250_000.0), speed(128, "eager", 9_000.0)),
        {"kind": "kernels", "preset": "base", "batch": 1024, "execution": "graphs"}
        | {"per_step": 1250.0, "kernel_milliseconds": 3.0, "shares": {"gemm": 0.5}},
        {"kind": "sampling_speed", "steps": 15, "batch": 4096, "execution": "graphs", "molecules_per_second": rate},
        {"kind": "skipped", "what": "two processes on one device, nccl", "why": "Duplicate GPU detected"},
        {"kind": "stage", "name": "parity", "seconds": 40.0, "ended": "failed with exit code 1"},
    ]
    valid = {"value": 0.993, "low": 0.991, "high": 0.995}
    figures = figures_of(record, {"speed-15": {"validity": valid}})
    page.publish(figures, readme, data, written)
    return readme, data, written


def test_readme_and_page_follow_from_the_figures(published: tuple[Path, Path, Path]) -> None:
    readme, data, written = published
    figures = page.load(data)
    assert "preset `base` trains on 250,000 molecules a second" in readme.read_text()
    assert "the model that ships samples 31,000 a second" in readme.read_text()
    assert readme.read_text() == page.readme_of(page.README.read_text(), figures)
    text = written.read_text()
    assert "Measured on NVIDIA H100 80GB HBM3, driver 580.1, torch 2.11.0." in text
    assert "| 67.50 | 66.00 | not measured |" in text
    assert "31,000 (30,000 to 32,000); steps 15, batch 4096, execution graphs" in text
    assert "1,250 kernels, which run for 3.00 ms of the step's 4.10 ms (73" in text
    assert "- skipped: two processes on one device, nccl: Duplicate GPU detected" in text
    assert "failed with exit code 1, 40" in text
    assert figures["nll_published_5_minutes"]["value"] is None
    assert figures["training_molecules_per_second"]["commit"] == "abc1234"


def test_a_speed_of_sampling_invalid_molecules_is_no_headline() -> None:
    rate = {"value": 90000.0, "low": 90000.0, "high": 90000.0}
    entry = {"kind": "sampling_speed", "steps": 15, "batch": 8, "execution": "eager", "molecules_per_second": rate}
    figures = figures_of([GPU_RUN, entry], {"speed-15": {"validity": {"value": 0.98, "low": 0.97, "high": 0.99}}})
    assert figures["sampling_molecules_per_second"]["value"] is None
    assert figures["sampling/15/8/eager/molecules_per_second"]["value"] == 90000.0


def test_checks_that_fail_are_named_and_numbers_that_are_none_are_dashes(tmp_path: Path) -> None:
    record = Record(tmp_path, "parity")
    record.add("parity", preset="base", precision="bfloat16", bound=0.1, good=False, logits=math.nan, loss=0.01)
    record.add("resume", weights=0.5, bound=1e-3, good=False)
    record.add(**speed(128, "eager", math.nan))
    found = [GPU_RUN, *entries(tmp_path)]
    figures = figures_of(found, {})
    text = page.page_of(figures)
    assert "1 of 3 checks passed" in text
    assert "| parity base bfloat16 | logits | \N{EN DASH} | 1.0e-01 | **no** |" in text
    assert "| resume | weights | 5.0e-01 | 1.0e-03 | **no** |" in text
    assert figures["training_molecules_per_second"]["value"] is None
    assert page.sentence(figures).startswith("Part of the GPU code has run on one NVIDIA H100 80GB HBM3;")
    assert five_minutes.choice(found, "base", (7, "eager")) == (7, "eager")


@pytest.mark.slow
def test_a_run_is_judged_beside_its_own_molecules_only(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "embedded.safetensors"
    made = molecules.encode("embedded")
    molecules.save(other, replace(made, test=made.test[:100]))
    assert evaluate.main([str(finished), "--molecules", str(other)]) == Exit.BAD_DATA
    assert "is not the file that the run was given" in capsys.readouterr().err


def test_the_docs_quote_the_figures_that_there_are() -> None:
    figures = page.load()
    assert set(HEADLINES) <= set(figures)
    assert page.sentence(figures) in page.README.read_text()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('[1]\n{"kind": 3}\nnothing\n' + "[" * 10**5, "is not the record of a run"),
        ('{"kind": "run", "value": NaN}', "is not the record of a run"),
        ('{"kind": "run"}', "does not say which molecules"),
        ('{"kind": "run", "molecules": 3}', "does not say which molecules"),
    ],
)
def test_a_record_that_is_none_is_refused(
    lines: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / NAME).write_text(lines)
    assert evaluate.main([str(tmp_path)]) == Exit.BAD_DATA
    assert said in capsys.readouterr().err


def test_an_entry_that_no_run_writes_is_refused() -> None:
    for entry in ({"kind": "kernels"}, {"kind": "training_speed", "preset": "base"}, {"kind": "nll", "published": 3}):
        with pytest.raises(FedmolError, match="no run writes"):
            figures_of([GPU_RUN, entry], {})
