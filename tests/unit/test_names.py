"""How people write names and addresses, and what they are told."""

from __future__ import annotations

from typing import Any

import pytest

from fedmol.errors import FedmolError
from fedmol.fl.federation import parse
from fedmol.names import endpoint

SITES = {"sites": [{"name": "north"}]}


@pytest.mark.parametrize(
    ("host", "said"),
    [("example.org", "example.org:5"), ("10.0.0.1", "10.0.0.1:5"), ("::1", "[::1]:5"), ("[::]", "[::]:5")],
)
def test_an_endpoint_as_grpc_takes_it(host: str, said: str) -> None:
    assert endpoint(host, 5) == said


@pytest.mark.parametrize(
    ("written", "read"), [("::1", "::1"), ("[fd00::1]", "fd00::1"), ("fl.example.org", "fl.example.org")]
)
def test_addresses_that_are_taken(written: str, read: str) -> None:
    assert parse({**SITES, "network": {"address": written}}, "test").network.address == read


@pytest.mark.parametrize(
    ("written", "offered"),
    [
        ("https://fl.example.org:50051/path", "such as fl.example.org"),
        ("fl.example.org:50051", "such as fl.example.org"),
        ("[fd00::1]:50051", "such as fd00::1"),
        ("grpc://[fd00::1]:50051", "such as fd00::1"),
        ("FL example", "such as flexample"),
        ("", "such as localhost"),
    ],
)
def test_what_is_no_host_is_told_with_one_that_is(written: str, offered: str) -> None:
    with pytest.raises(FedmolError, match=r"network.address: .* is not a host's name or IP address") as caught:
        parse({**SITES, "network": {"address": written}}, "test")
    assert offered in caught.value.message


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("North", "'North' is no name: .* such as north"),
        ("site.a", "such as site-a"),
        ("Basel / Lab 3", "such as basel-lab-3"),
        ("x" * 50, "such as " + "x" * 40),
        ("...", "such as site-1"),
        (False, "sites.0.name: YAML reads false there"),
    ],
)
def test_what_is_no_site_s_name_is_told_once_with_one_that_is(name: Any, said: str) -> None:
    with pytest.raises(FedmolError, match=said) as caught:
        parse({"sites": [{"name": name}]}, "test")
    assert len(caught.value.message.splitlines()) == 2
