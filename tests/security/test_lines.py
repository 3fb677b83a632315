"""A line that is slow or dead in mid-upload costs the others the grace and no more (row R1)."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from benchmarks.federation.member import OPENFL, messages
from fedmol.fl.federation import Settings
from fedmol.local.processes import AGGREGATOR
from fedmol.telemetry.events.round_events import UpdateLate
from fedmol.telemetry.events.site_events import SiteLost
from tests.support.attacker import ATTACKER, UPLOAD, Hanging, draft
from tests.support.light import Build, light_settings
from tests.support.stage import PATIENCE

PIECE = 2**17


def _settings(*sites: str, **rounds: Any) -> Settings:
    """Two sites are enough, and those who are missing then are waited for a moment."""
    return light_settings(*sites, **{"quorum": len(sites) - 1, "grace": 1.0, **rounds})


def test_a_line_that_dies_in_mid_upload(light: Build) -> None:
    one = light(_settings("east", "model", "west"))
    one.open()
    with Hanging(one.members[ATTACKER].channel) as hanging:
        one.validate(ATTACKER)
        parts = list(messages([draft(one).honest()], PIECE))
        dead = hanging.begin(f"/{OPENFL}/{UPLOAD}", *parts[:4])
        assert one.play("east", "model").body.missing == [ATTACKER]
        assert not dead.done()
        assert dead.exception(timeout=PATIENCE).code() is grpc.StatusCode.CANCELLED  # given up by the aggregator
    assert one.members[ATTACKER].tasks()[:2] == (one.round, ["aggregated_model_validation", "train"])
    assert one.play().body.missing == []


def test_an_upload_at_a_trickle(light: Build) -> None:
    """It is late when it has all come, which its site is told by the next round, not by an error."""
    one = light(_settings("east", "model", "west"))
    one.open()
    parts, closed = list(messages([draft(one).honest()], PIECE)), threading.Event()

    def trickle() -> Any:
        for part in parts[:-1]:
            yield part
            time.sleep(0.1)
        closed.wait(PATIENCE)
        yield parts[-1]

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(one.members[ATTACKER].stream, UPLOAD, trickle())
        assert one.play("east", "model").body.missing == [ATTACKER]
        assert not slow.done()
        closed.set()
        slow.result(PATIENCE)
    assert [(event.site, event.round) for event in one.stage.events(UpdateLate)] == [(ATTACKER, 1)]
    opening = one.members[ATTACKER].opening()
    assert (opening.round, opening.last_counted) == (2, None)
    assert one.play().body.missing == []


def test_a_connection_grows_old_and_the_upload_on_it_comes_to_its_end(light: Build) -> None:
    """Handshakes, and so certificates, are never older than that; nobody notices but who looks."""
    one, states = light(_settings("east", "model", "west", grace=60.0)), list[grpc.ChannelConnectivity]()
    one.stage.age(AGGREGATOR, 1.0)
    one.open()
    one.members[ATTACKER].channel.subscribe(states.append)
    until = time.monotonic() + PATIENCE

    def slowly() -> Any:
        for part in messages([draft(one).honest()], PIECE):
            yield part
            while states.count(grpc.ChannelConnectivity.IDLE) < 2:
                assert time.monotonic() < until, states
                one.members[ATTACKER].tasks()
                time.sleep(0.05)

    one.validate(ATTACKER)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(one.members[ATTACKER].stream, UPLOAD, slowly())
        one.report("east", "model")
        slow.result(PATIENCE)
    assert one.close(one.sites).body.missing == []


def test_nobody_is_lost_by_another_s_slow_line(light: Build) -> None:
    """The healthy sites come one after another for longer than the time after which silence counts as a loss."""
    sites = ["east", "model", "north", "south", "west"]
    one = light(_settings(*sites, lost_after=4.0, grace=60.0, quorum=3))
    one.open()
    healthy = [site for site in sites if site != ATTACKER]
    over = threading.Event()

    def trickle() -> Any:
        for part in messages([draft(one).honest()], PIECE // 8):
            yield part
            over.wait(0.5)

    def work(site: str, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            one.members[site].report("training", one.round)
            time.sleep(0.5)
        one.report(site)
        while not over.is_set():
            one.members[site].tasks()

    with ThreadPoolExecutor(len(sites)) as pool:
        slow = pool.submit(one.members[ATTACKER].stream, UPLOAD, trickle())
        working = [pool.submit(work, site, 1.5 * place) for place, site in enumerate(healthy)]
        try:
            one.close(healthy)  # the one on the slow line says nothing else, and so is not waited for
        finally:
            over.set()
        slow.result(PATIENCE)
        for each in working:
            each.result(PATIENCE)
    assert {event.site for event in one.stage.events(SiteLost)} <= {ATTACKER}
