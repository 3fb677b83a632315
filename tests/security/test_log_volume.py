"""S7: what members and strangers repeat, or say at any length, adds up in the log, and nobody who shows it minds."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import time
from contextlib import suppress
from itertools import cycle, islice
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from fedmol.errors import Exit
from fedmol.fl.messages import REPORT, SERVICE
from fedmol.fl.refusals import decode_error
from fedmol.sidecar.live_page import Page
from fedmol.sidecar.log_watch import Watch
from fedmol.sidecar.prometheus import RunCollector
from fedmol.telemetry.events.site_events import SiteProgress, SiteRefused
from fedmol_aggregator.progress_log import BURST, EVERY, PHASES
from tests.support.attacker import ATTACKER
from tests.support.light import Build, Light, in_time, light_settings
from tests.support.raw_log import append
from tests.support.stage import AGGREGATOR, RUN

_MALFORMED: list[dict[str, Any]] = [
    {"step": 10**400},
    {"step": -1},
    {"steps": 2**70},
    {"phase": "x" * 60_000},
    {"phase": "\x1b[2J"},
    {"loss": "low"},
    {"loss": 1e999},
    {"round": 10**30},
    {"seconds_left": [[[[]]]]},
    {"run": "r" * 10_000},
    {"surprise" * 100: 1},
    {"model_digest": "\ud800"},
]


def _report(one: Light, **said: Any) -> None:
    member = one.members[ATTACKER]
    document = {"protocol": "2.0", "run": RUN, "peer": member.peer, "round": 1, "phase": "training", **said}
    member.call(REPORT, json.dumps(document).encode(), SERVICE)


def _shown(one: Light) -> str:
    """The page, and the metrics, as a sidecar over the aggregator's log makes them."""
    watch, registry = Watch(one.work), CollectorRegistry()
    watch.catch_up()
    registry.register(RunCollector(watch))
    assert b"fedmol_site_state" in generate_latest(registry)
    assert watch.log_view().unreadable_lines == 0
    return Page(watch).html()


def _stop(one: Light) -> None:
    one.stage.signal(AGGREGATOR, signal.SIGTERM)
    assert one.stage.wait(AGGREGATOR) == Exit.TERMINATED


@pytest.fixture
def one(light: Build) -> Light:
    made = light(light_settings("east", "model", ATTACKER))
    made.open()
    return made


def test_a_site_that_alternates_phases_as_fast_as_it_may_gets_few_events(one: Light) -> None:
    began, sent = time.monotonic(), 0
    for phase in islice(cycle(["training", "sending"]), 1500):
        with suppress(grpc.RpcError):  # too many a second
            _report(one, phase=phase)
            sent += 1
    told = one.stage.events(SiteProgress)
    assert sent > 100
    assert len(told) <= BURST + PHASES + 1 + (time.monotonic() - began) / EVERY
    one.play()
    assert "The log is damaged" not in _shown(one)


def test_reports_of_any_content_are_refused_by_name_and_add_up(one: Light) -> None:
    before = (one.work / "events.jsonl").stat().st_size
    for _ in range(20):
        for said in _MALFORMED:
            with pytest.raises(grpc.RpcError) as answer:
                in_time(lambda said=said: _report(one, **said))  # type: ignore[misc]
            refusal = decode_error(answer.value.details())
            assert refusal is not None
            assert refusal.exit in (Exit.MESSAGE_REFUSED, Exit.UNKNOWN_RUN)
    one.play()
    page = _shown(one)
    assert "Peer refused" in page
    _stop(one)
    refused = [event for event in one.stage.events(SiteRefused) if event.site == ATTACKER]
    assert sum(event.body.times for event in refused) == 20 * len(_MALFORMED)
    assert len(refused) <= 8
    assert (one.work / "events.jsonl").stat().st_size - before < 20_000


def test_failed_handshakes_add_up_in_the_log_and_on_standard_error(one: Light) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    where, count = (one.settings.network.address, one.settings.network.port), 300
    for _ in range(count):
        with suppress(OSError), socket.create_connection(where) as line, context.wrap_socket(line) as secure:
            secure.read(1)
    one.play()
    _stop(one)
    refused = [event for event in one.stage.events(SiteRefused) if event.body.reason == "tls-handshake"]
    assert sum(event.body.times for event in refused) == count
    assert len(refused) <= 4
    assert len(one.stage.log(AGGREGATOR)) < 30_000
    assert "tls-handshake" in _shown(one)


def test_a_log_whose_events_are_not_what_their_kind_is_ends_a_restart_by_name(one: Light) -> None:
    """The chain is right: whoever wrote it could reckon hashes."""
    one.play()
    one.kill()
    log = one.work / "events.jsonl"
    append(log, "round_finished", run=RUN, round=2, weights={"east": 1.0}, missing="nobody")
    lines = len(log.read_bytes().splitlines())
    one.stage.start(AGGREGATOR)
    assert one.stage.wait(AGGREGATOR) == Exit.STATE_UNUSABLE
    said = one.stage.log(AGGREGATOR)
    assert f"events.jsonl, line {lines}: " in said
    assert "round_finished" in said
    assert "Traceback" not in said
    page = Watch(one.work)
    page.catch_up()
    assert page.log_view().unreadable_line == lines
