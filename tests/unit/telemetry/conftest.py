"""The logs that the sidecar is tested with."""

from __future__ import annotations

from tests.unit.sidecar.conftest import site_log, story

__all__ = ["site_log", "story"]
