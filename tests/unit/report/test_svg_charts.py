from __future__ import annotations

import math
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmol.formats import NONE, count, duration, interval, names, percent, ranges, signed, size
from fedmol.report.svg_charts import HEIGHT, WIDTH, Series, bars, lines, ticks

finite = st.floats(-1e6, 1e6, allow_subnormal=False)


@given(finite, finite)
def test_ticks_enclose_the_values_evenly(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    marks = ticks(low, high)
    slack = 1e-6 * max(1e-9, abs(low), abs(high))
    assert marks[0] <= low + slack
    assert marks[-1] >= high - slack
    assert 2 <= len(marks) <= 9
    steps = [after - before for before, after in pairwise(marks)]
    assert max(steps) == pytest.approx(min(steps), rel=1e-3, abs=1e-9)


@given(st.lists(st.floats(0, 1e4) | st.none(), min_size=1, max_size=30))
def test_lines_stay_inside_and_are_well_formed(values: list[float | None]) -> None:
    drawn = lines("t", list(range(1, len(values) + 1)), [Series("a", values, 0)], "round", "loss")
    tree = ElementTree.fromstring(drawn)
    circles = list(tree.iter("circle"))
    assert len(circles) == sum(value is not None for value in values)
    for circle in circles:
        assert 0 <= float(circle.attrib["cx"]) <= WIDTH
        assert 0 <= float(circle.attrib["cy"]) <= HEIGHT


def test_bars_are_as_high_as_their_values() -> None:
    drawn = bars("t", ["a", "b"], [Series("x", [10.0, 5.0], 0)], "", "")
    first, second = (float(rect.attrib["height"]) for rect in ElementTree.fromstring(drawn).iter("rect"))
    assert first == pytest.approx(2 * second, abs=0.2)


def test_stacked_bars_stand_on_each_other() -> None:
    drawn = bars("t", ["a"], [Series("x", [3.0], 0), Series("y", [1.0], 1)], "", "", stacked=True)
    lower, upper = ElementTree.fromstring(drawn).iter("rect")
    assert float(upper.attrib["y"]) + float(upper.attrib["height"]) == pytest.approx(float(lower.attrib["y"]), abs=0.2)


def test_nothing_to_draw_is_said() -> None:
    for drawn in (
        lines("t", [], [], "x", "y"),
        lines("t", [1], [Series("a", [math.nan], 0)], "x", "y"),
        bars("t", ["a"], [Series("a", [0.0], 0)], "x", "y"),
    ):
        assert "Nothing to draw yet" in drawn
        assert "<svg" not in drawn


def test_names_are_text() -> None:
    drawn = lines("<b>", [1, 2], [Series("<i>", [1, 2], 0), Series("</svg>", [1, 2], 1)], "&", '"')
    ElementTree.fromstring(drawn)
    assert not re.search("<[bi]>", drawn)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (percent(0.956), "95.6\u202f%"),
        (percent(math.nan), NONE),
        (percent(0.0001), "<0.1\u202f%"),
        (interval((0.932, 0.9714)), "93.2\u201397.1\u202f%"),
        (signed(0.001), "0.00"),
        (signed(1234.5), "+1,234.50"),
        (signed(-2.0), "\u22122.00"),
        (count(None), NONE),
        (size(999), "999\u00a0B"),
        (size(1_880_368), "1.88\u00a0MB"),
        (duration(59.2), "59\u00a0s"),
        (duration(3725), "1\u00a0h 02\u00a0min"),
        (names(["a"]), "a"),
        (names(["a", "b", "c"]), "a, b and c"),
        (ranges([2, 4, 5, 6, 9]), "2, 4\u20136, 9"),
    ],
)
def test_formats(text: str, expected: str) -> None:
    assert text == expected
