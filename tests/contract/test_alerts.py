"""Every alert is documented and tried, and comes with what a person needs who is woken by it."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.support.expressions import PROMETHEUS, ROOT, rules, without_comparison

ALERTS = [rule for rule in rules() if "alert" in rule]
NAMES = sorted({rule["alert"] for rule in ALERTS})
PAGE = (ROOT / "docs" / "alerts.md").read_text()


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_an_alert_says_what_is_wrong_how_bad_it_is_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("info", "warning", "critical")
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/alerts.md#{rule['alert'].lower()}"
    assert without_comparison(rule["expr"]) != rule["expr"]


def test_the_page_has_a_section_for_each_alert_and_for_nothing_else() -> None:
    sections = re.findall(r"^## (.+)$", PAGE, flags=re.MULTILINE)
    assert sorted(sections) == NAMES
    assert sorted(re.findall(r"^\| \[(\w+)\]", PAGE, flags=re.MULTILINE)) == NAMES
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        assert all(f"**{part}:**" in section for part in ("Means", "Look at", "Cure")), section.splitlines()[0]


@pytest.mark.parametrize("name", NAMES)
def test_an_alert_is_seen_to_fire_and_to_keep_quiet(name: str) -> None:
    tests = yaml.safe_load((PROMETHEUS / "rules_test.yml").read_text())["tests"]
    tried = [one for test in tests for one in test.get("alert_rule_test", ()) if one["alertname"] == name]
    fired = {alert["exp_labels"]["severity"] for one in tried for alert in one.get("exp_alerts", ())}
    assert fired == {rule["labels"]["severity"] for rule in ALERTS if rule["alert"] == name}
    assert any(not one.get("exp_alerts") for one in tried)
