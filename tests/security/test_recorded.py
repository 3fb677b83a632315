"""Everything that a site sends, recorded at the other end: it is in the list, and all of it in the site's log."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet
from openfl.protocols import aggregator_pb2

from fedmol.fl.federation import Settings
from fedmol.telemetry.events.site_events import MessageSent
from fedmol_collaborator import outbound_fields
from tests.support.scripted import SITE, Received, ScriptedAggregator, one_site
from tests.support.stage import PATIENCE, RUN, Stage

Build = Callable[[Settings], Stage]
KINDS = {
    "GetTasks": aggregator_pb2.GetTasksRequest,
    "GetAggregatedTensor": aggregator_pb2.GetAggregatedTensorRequest,
    "SendLocalTaskResults": aggregator_pb2.TaskResults,
}
METADATA = {"user-agent"}


def _said(received: Received) -> set[str]:
    """The fields of a message, read by OpenFL's own classes and as plain JSON."""
    if received.call == "Echo":
        return set()
    if received.call not in KINDS:
        return set(_json(json.loads(received.body)))
    message = KINDS[received.call].FromString(received.body)
    assert not UnknownFieldSet(message)
    assert message.SerializeToString() == received.body  # nothing in it that is not shown by a field
    return set(_protobuf(message))


def _json(document: dict[str, Any]) -> Iterator[str]:
    for key, value in document.items():
        if value is None:
            continue
        if isinstance(value, dict) and key not in ("settings", "census"):
            yield from (f"{key}.{inner}" for inner in _json(value))
        else:
            yield key


def _protobuf(message: Message) -> Iterator[str]:
    for field, value in message.ListFields():
        many = value if field.label == field.LABEL_REPEATED else [value]
        for one in many:
            if isinstance(one, Message):
                name = getattr(one, "name", "")
                for inner in _protobuf(one):
                    yield f"{field.name}.{name if inner == 'data_bytes' else inner}"
            else:
                yield field.name


def _is_in_the_list(received: list[Received]) -> None:
    for one in received:
        assert _said(one) <= outbound_fields.fields(one.call), one.call
        assert set(one.metadata) <= METADATA
        assert one.metadata["user-agent"].startswith("grpc-python/")


def _remote_ports(process: psutil.Popen) -> set[int]:
    try:
        return {one.raddr.port for one in process.net_connections("inet") if one.raddr and one.status == "ESTABLISHED"}
    except psutil.NoSuchProcess:
        return set()


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        pytest.param({}, set[str](), id="as-shipped"),
        pytest.param({"training": {"budget_minutes": 0.2}}, {"counts.seconds_per_step"}, id="steps-fitted-to-a-time"),
        pytest.param({"strategy": "scaffold", "local_method": "scaffold"}, {"tensors.control"}, id="scaffold"),
    ],
)
def test_nothing_leaves_a_site_that_is_not_in_the_list_and_its_log_has_all(
    stage: Build, changes: dict[str, Any], fields: set[str]
) -> None:
    run, ports = stage(one_site(**changes)), set[int]()
    with ScriptedAggregator(run) as one:
        run.start(SITE)
        process = run.parties[SITE].process
        assert process is not None
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            ports |= _remote_ports(watched)
            time.sleep(0.05)
        assert run.wait(SITE) == 0, run.log(SITE)
        received = list(one.received)
    assert ports <= {run.settings.network.port}
    assert {one.call for one in received} == {*KINDS, "Join", "Opening", "Report"}
    _is_in_the_list(received)
    said = set().union(*(_said(one) for one in received))
    assert said & {"counts.seconds_per_step", "tensors.control"} == fields
    _secrets_stay(run, received)
    _log_has_all(run, received)


def _secrets_stay(run: Stage, received: list[Received]) -> None:
    everything = b"".join(one.body for one in received)
    shard = run.folder / "sites" / SITE / "shard.csv"
    long = [line for line in shard.read_text().split() if len(line) > 8]
    assert len(long) > 50
    for secret in (*long, str(run.folder), shard.name, "card.json"):
        assert secret.encode() not in everything


def _log_has_all(run: Stage, received: list[Received]) -> None:
    times, size = Counter[str](), Counter[str]()
    logged: dict[str, set[str]] = {}
    for event in run.events(MessageSent, SITE):
        times[event.body.call] += event.body.times
        size[event.body.call] += event.body.bytes
        logged.setdefault(event.body.call, set()).update(event.body.holds)
    for call in {one.call for one in received}:
        came = [one for one in received if one.call == call]
        assert times[call] >= len(came)  # a message that was given up is written down as well
        assert size[call] >= sum(len(one.body) for one in came)
        assert logged[call] == set().union(*(_said(one) for one in came))
    assert times["SendLocalTaskResults"] == 6
    assert len(run.events(MessageSent, SITE)) < 60


def test_nothing_leaves_with_the_doctor_that_is_not_in_the_list(stage: Build, tmp_path: Path) -> None:
    run = stage(one_site())
    options = {
        "settings": run.folder / "settings.yaml",
        "certs": run.folder / "certs" / f"site-{SITE}",
        "site": SITE,
        "shard": run.folder / "sites" / SITE / "shard.csv",
        "work": run.folder / "sites" / SITE,
        "run": RUN,
        "json": tmp_path / "found.json",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    with ScriptedAggregator(run) as one:
        subprocess.run([sys.executable, "-m", "fedmol.cli.main", "doctor", *words], timeout=PATIENCE, check=True)
        received = list(one.received)
    assert {one.call for one in received} == {"Probe", "Echo"}
    _is_in_the_list(received)
    checks = {one["name"]: one for one in json.loads((tmp_path / "found.json").read_text())["checks"]}
    probes = [one for one in received if one.call == "Probe"]
    assert f"{len(probes)} x Probe, {sum(len(one.body) for one in probes):,} bytes" in checks["messages"]["found"]
    echoes = [one for one in received if one.call == "Echo"]
    assert f"{len(echoes)} x Echo, {sum(len(one.body) for one in echoes):,} bytes" in checks["messages"]["found"]
