from __future__ import annotations

import json
import threading

from rich.console import Console

from fedmol.doctor.checks import Check, Finding, failed, ok, run_checks, warning
from fedmol.doctor.results_table import document, failures, table
from fedmol.errors import Exit, FedmolError


def _refused(_: object) -> Finding:
    raise FedmolError(Exit.BAD_DATA, "line 3 is no molecule", "correct line 3")


def _full(_: object) -> Finding:
    raise OSError(28, "No space left on device", "/state")


def _defect(_: object) -> Finding:
    raise ZeroDivisionError("division by zero")


CHECKS = [
    Check("first", lambda _: ok("fine", 7, seconds=1.5)),
    Check("second", lambda known: warning(f"got {known['first']}", "mind [it]", 8), ("first",)),
    Check("third", lambda known: ok(f"got {known['second']}"), ("second",)),
    Check("refused", _refused),
    Check("after it", lambda _: ok("never"), ("first", "refused")),
    Check("after that", lambda _: ok("never"), ("after it",)),
    Check("full", _full),
    Check("defect", _defect),
]


def test_checks_hand_their_values_on_and_none_is_tried_on_top_of_a_failure() -> None:
    started: list[str] = []
    results = {one.name: one.finding for one in run_checks(CHECKS, started.append)}
    assert started == [check.name for check in CHECKS]
    assert (results["second"].found, results["third"].found) == ("got 7", "got 8")
    assert {name: finding.state for name, finding in results.items()} == {
        "first": "ok",
        "second": "warning",
        "third": "ok",
        "refused": "failed",
        "after it": "skipped",
        "after that": "skipped",
        "full": "failed",
        "defect": "failed",
    }
    assert results["after that"].found == "not tried, because of: refused"  # the root, not what lies between


def test_whatever_a_check_raises_becomes_a_row_with_a_cure() -> None:
    results = {one.name: one.finding for one in run_checks(CHECKS)}
    assert (results["refused"].found, results["refused"].cure) == ("line 3 is no molecule", "correct line 3")
    assert results["full"].found == "/state: No space left on device"
    assert results["defect"].found == "ZeroDivisionError: division by zero"
    assert all(finding.cure for finding in results.values() if finding.state in ("warning", "failed"))


def test_a_check_that_hangs_is_given_up_and_the_others_go_on() -> None:
    release = threading.Event()

    def hang(_: object) -> Finding:
        release.wait()
        return ok("too late")

    checks = [Check("hanging", hang, limit=0.05, when_slow="wake it up"), Check("next", lambda _: ok("fine"))]
    hanging, following = run_checks(checks)
    release.set()
    assert hanging.abandoned
    assert (hanging.finding.state, hanging.finding.cure) == ("failed", "wake it up")
    assert following.finding.state == "ok"


def test_the_table_says_the_same_without_colours_at_any_width() -> None:
    results = run_checks(CHECKS)
    for width in (80, 120):
        console = Console(width=width, no_color=True)
        with console.capture() as captured:
            console.print(table("site north", results))
        shown = captured.get()
        assert max(map(len, shown.splitlines())) <= width
        assert shown.count("FAILED") == 3
        assert "cure: mind [it]" in shown


def test_the_document_has_every_check_with_its_figures() -> None:
    results = run_checks(CHECKS)
    said = json.loads(document("site north", results))
    assert (said["party"], said["ready"]) == ("site north", False)
    assert [one["name"] for one in said["checks"]] == [check.name for check in CHECKS]
    assert said["checks"][0]["figures"] == {"seconds": 1.5}
    assert failures(results) == ["refused", "full", "defect"]


def test_failures_only_count_what_failed() -> None:
    assert failures(run_checks(CHECKS[:3])) == []
    assert failures(run_checks([Check("one", lambda _: failed("bad", "mend it"))])) == ["one"]
