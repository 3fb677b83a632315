"""The benchmarks run and say what they measured; nothing here asserts a speed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from rich.console import Console

from benchmarks import reference_speed as reference
from benchmarks.chart import drawing
from benchmarks.clock import Clock, Spread, alternate, ratios
from benchmarks.machine import Ceilings
from benchmarks.results import Results
from benchmarks.stock import Stock
from benchmarks.suite import Effort, Suite
from benchmarks.table import print_results
from benchmarks.time_to_nll import TARGETS, Descent, speed_up
from fedmol.graphs import Graphs

TOY = Effort(batch=2, sampled=2, rounds=1, turn=0, memory_batch=8, descent_limit=0.01, descent_looks=1)
BARS = 8  # plain and one preset in four charts


@pytest.fixture(scope="module")
def results() -> Results:
    generator = torch.Generator().manual_seed(0)
    bonds = torch.randint(0, 4, (40, 9, 9), generator=generator).triu(1)
    atoms = torch.randint(4, (40, 9), generator=generator)
    stock = Stock.of("toy", Graphs(atoms, bonds + bonds.mT, torch.full((40,), 9)))
    return Suite(stock, ["small"], "small", torch.device("cpu"), TOY, say=lambda _: None).run()


def ratios_in(document: Any) -> list[float]:
    """Every ratio to the baseline."""
    if isinstance(document, dict):
        below = [ratios_in(value) for value in document.values()]
        own = [document["ratio"]["median"]] if "ratio" in document else []
        own += [document["share"]] if "share" in document else []
        return own + [one for part in below for one in part]
    return []


def test_json_has_finite_ratios_of_everything(results: Results, tmp_path: Path) -> None:
    results.write(tmp_path / "bench.json")
    document = json.loads((tmp_path / "bench.json").read_text())
    found = ratios_in(document)
    assert len(found) == 7  # two contenders each in training, sampling and memory, one in sampling by default
    assert all(math.isfinite(one) and one > 0 for one in found)
    assert document["training"]["plain"]["ratio"]["median"] == 1
    assert document["memory"]["plain"]["share"] == 1
    assert set(document["time_to_nll"]) == {"plain", "small"}
    assert math.isfinite(document["time_to_nll"]["plain"]["nll"][0])


def test_plain_does_the_references_arithmetic(results: Results) -> None:
    """516 MFLOP per molecule of nine atoms, reckoned from the reference's sizes by hand."""
    assert results.reference is not None
    assert results.reference.operations == pytest.approx(1, abs=0.05)


def test_drawing_is_well_formed(results: Results) -> None:
    tree = ElementTree.fromstring(drawing(results))
    drawn = [one for one in tree.iter("{http://www.w3.org/2000/svg}rect") if one.get("class") != "ground"]
    assert len(drawn) == BARS
    assert len(list(tree.iter("{http://www.w3.org/2000/svg}svg"))) == 1 + 4 + 2  # two courses of the NLL


def test_tables_name_every_contender(results: Results) -> None:
    console = Console(width=160, record=True, file=StringIO())
    print_results(console, results)
    text = console.export_text()
    assert text.count("plain") >= 4
    assert text.count("small") >= 4


class Given(Clock):
    """A clock that is told the seconds that each turn takes."""

    def __init__(self, seconds: list[float]) -> None:
        super().__init__(torch.device("cpu"))
        self.seconds = iter(seconds)

    def time(self, work: Callable[[], object]) -> float:
        work()
        return next(self.seconds)


def test_contenders_take_turns_and_ratios_are_taken_round_by_round() -> None:
    order: list[tuple[str, int]] = []
    works = {"a": lambda n: order.append(("a", n)), "b": lambda n: order.append(("b", n))}
    seconds = alternate(Given([1.0, 0.5, 4.0, 2.0, 8.0, 1.0]), works, rounds=2, turn=2.0)
    assert order == [("a", 1)] * 2 + [("b", 1)] * 2 + [("a", 2), ("b", 4)] * 2
    assert seconds == {"a": [2.0, 4.0], "b": [0.5, 0.25]}
    assert ratios(seconds["a"], seconds["b"]) == Spread(10.0, 4.0, 16.0)


def test_time_to_a_target_is_a_bound_where_the_baseline_gave_up() -> None:
    first, second = TARGETS[:2]
    plain = Descent([10.0, 20.0], [first + 1, first - 1], limit=20)
    fast = Descent([1.0, 2.0], [first - 1, second - 1], limit=20)
    assert speed_up(plain, fast, first) == (20.0, True)
    assert speed_up(plain, fast, second) == (10.0, False)
    assert speed_up(fast, plain, second) is None


def check(rate: float, matrix_share: float, memory_speed: float = 1.0) -> reference.Check:
    """The baseline at `rate`, on a machine whose memory is so many times as fast as that of the reference's machine."""
    gemm, place, fresh = (Spread(v, v, v) for v in (1.0, reference.MEMORY_IN_PLACE, reference.MEMORY_FRESH))
    place, fresh = (Spread(*(memory_speed * v for v in (one.median, one.low, one.high))) for one in (place, fresh))
    there = Ceilings(gemm, gemm, place, fresh)
    return reference.Check.of(Spread(rate, rate, rate), matrix_share / rate, there, reference.MEGAFLOP, None)


def test_on_the_references_machine_nothing_is_corrected() -> None:
    same = check(reference.RATE, reference.MATRIX_SHARE)
    assert same.corrected == pytest.approx(1)
    assert same.bounds == pytest.approx((1, 1))
    assert same.within


def test_slow_matrix_products_are_no_fault_of_the_baseline() -> None:
    """Twice the time in matrix products, the same in the rest."""
    share, rest = 2 * reference.MATRIX_SHARE, 1 - reference.MATRIX_SHARE
    slower = check(reference.RATE / (share + rest), share / (share + rest), memory_speed=2)
    assert slower.raw < 0.8
    assert slower.corrected == pytest.approx(1)
    assert slower.bounds[0] < 0.8


def test_a_baseline_that_wastes_time_elsewhere_is_told() -> None:
    assert not check(0.7 * reference.RATE, 0.7 * reference.MATRIX_SHARE).within


def test_time_in_matrix_products_is_taken_in_both_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.process_time", count().__next__)  # every look takes a second
    matrix = torch.ones(4, 4, requires_grad=True)
    assert reference.matrix_seconds(lambda: matrix * matrix) == 0
    assert reference.matrix_seconds(lambda: matrix @ matrix) == 1
    assert reference.matrix_seconds(lambda: torch.autograd.backward((matrix @ matrix).sum())) == 3
