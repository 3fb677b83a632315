"""Fixtures with which tests install charts into stub clusters."""

from __future__ import annotations

import importlib.util
import multiprocessing
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import Any

import pytest

from k8s import rendering
from k8s.rendering import Install, Release
from k8s.stub_cluster import Cluster


@pytest.fixture(scope="session")
def helm() -> Iterator[Executor]:
    """A process of its own for Helm's library, whose runtime would not share one with torch in peace."""
    if importlib.util.find_spec("helm_sdkpy") is None:
        pytest.skip("Helm's library is not installed: make test does it, for Linux on x86_64")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        yield executor


@pytest.fixture(scope="session")
def install(helm: Executor) -> Install:
    """Installs a chart, into a current cluster unless another is given; the same once."""
    done: dict[str, Release] = {}

    def call(chart: str, values: Mapping[str, Any], cluster: Cluster | None = None, name: str = "fl") -> Release:
        cluster = cluster or Cluster()
        key = repr((chart, values, cluster, name))
        if key not in done:
            done[key] = helm.submit(rendering.install, chart, values, cluster, name).result(timeout=60)
        return done[key]

    return call
