"""What is sent beyond what may be sent takes neither memory nor anybody's time (row S5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from benchmarks.federation.member import channel, messages, varint
from tests.support.attacker import ANSWER, ATTACKER, PATHS, draft, stranger
from tests.support.light import Light, light_settings

HUGE = 300 * 10**6  # bytes
ROOM = 250 * 2**20  # bytes by which the aggregator's memory may grow


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Light]:
    one = Light(light_settings("east", "model", "west"), tmp_path_factory.mktemp("large") / "run")
    one.open()
    one.play()
    yield one
    one.shut()


@pytest.fixture(scope="module")
def body() -> bytes:
    return b"\0" * HUGE


@pytest.mark.parametrize("who", ["member", "stranger"])
def test_no_call_takes_the_memory_of_a_huge_body(attacked: Light, tmp_path: Path, who: str, body: bytes) -> None:
    """A round is played after each: who sent it, honestly now, counts."""
    folder = attacked.certificates(ATTACKER) if who == "member" else stranger(attacked, tmp_path / "stranger")
    before = attacked.peak_memory()
    for path in PATHS:
        with channel(attacked.address, folder, attacked.certificates(ATTACKER) / "ca.crt") as line:
            with pytest.raises(grpc.RpcError) as answer:
                line.unary_unary(path)(body, timeout=6 * ANSWER)
            assert answer.value.code() is not grpc.StatusCode.DEADLINE_EXCEEDED, path
        attacked.play()
    assert attacked.peak_memory() - before < ROOM


def _endless(start: bytes) -> Iterator[bytes]:
    yield from messages([start])
    part = next(messages([bytes(2**20)]))
    for _ in range(HUGE // len(part)):
        yield part


UPLOADS: dict[str, Callable[[bytes, bytes], bytes]] = {
    "without-an-end": lambda head, model: head + model,
    "of-a-tensor-of-2^31-bytes": lambda head, model: head + b"\x2a" + varint(2**31),
    "of-a-name-of-2^31-bytes": lambda head, model: head + b"\x2a" + varint(2**31 + 9) + b"\x0a" + varint(2**31),
    "of-a-header-of-2^31-bytes": lambda head, model: b"\x0a" + varint(2**31),
    "of-zeros": lambda head, model: b"",
}


@pytest.mark.parametrize("case", UPLOADS)
def test_an_upload_takes_no_more_than_was_agreed(attacked: Light, case: str) -> None:
    one, before = draft(attacked), attacked.peak_memory()
    start = UPLOADS[case](one.whole(), one.honest()[len(one.whole()) :])
    with pytest.raises(grpc.RpcError) as answer:
        one.member.stream("SendLocalTaskResults", _endless(start))
    assert answer.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    attacked.play()
    assert attacked.peak_memory() - before < ROOM
    kept = sum(path.stat().st_size for path in attacked.work.rglob("*") if path.is_file())
    assert kept < 30 * len(one.values)
