"""Prometheus's own tool looks at its settings, its rules, and every expression of the dashboards."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.expressions import PROMETHEUS, all_expressions
from tests.support.stack import prometheus_image

pytestmark = [pytest.mark.container, pytest.mark.usefixtures("docker_engine")]


def promtool(folder: Path, *arguments: str) -> str:
    """What promtool says, with `folder` in the place of Prometheus's own."""
    mount, image = f"{folder}:/etc/prometheus:ro", prometheus_image()
    command = ["docker", "run", "--rm", "--network", "none", "--volume", mount, "--entrypoint", "promtool", image]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_prometheus_takes_its_settings() -> None:
    said = promtool(PROMETHEUS, "check", "config", "--lint=all", "--lint-fatal", "/etc/prometheus/prometheus.yml")
    assert "is valid prometheus config" in said


def test_the_rules_are_in_order() -> None:
    promtool(PROMETHEUS, "check", "rules", "--lint=all", "--lint-fatal", "/etc/prometheus/rules.yml")


def test_every_alert_fires_when_it_should_and_only_then() -> None:
    assert "SUCCESS" in promtool(PROMETHEUS, "test", "rules", "/etc/prometheus/rules_test.yml")


def test_every_expression_of_dashboards_and_alerts_can_be_read(tmp_path: Path) -> None:
    rules = [{"record": f"n{number}", "expr": expression} for number, (_, expression) in enumerate(all_expressions())]
    (tmp_path / "all.yml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    tmp_path.chmod(0o755)
    assert f"{len(rules)} rules found" in promtool(tmp_path, "check", "rules", "/etc/prometheus/all.yml")
