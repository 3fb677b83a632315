"""A member that attacks during a whole run changes nothing: the model is that of a run in which it only joined."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import grpc
import numpy as np

from benchmarks.federation.member import OPENFL, channel, messages
from fedmol.fl.messages import ECHO, JOIN, REPORT, SERVICE
from fedmol.telemetry.events.round_events import UpdateRefused
from tests.security.test_malformed import NO_UPLOADS, NUMBERS, STREAMS
from tests.security.test_norms import against
from tests.security.test_uploads import TASKS, TENSORS
from tests.support.attacker import ATTACKER, UPLOAD, Draft, Hanging, draft
from tests.support.light import Build, Light, light_settings

HONEST = ["east", "model", "north"]
ROUNDS = 6
CASES = [*TENSORS.values(), *TASKS.values(), *NO_UPLOADS.values(), *NUMBERS.values()]


class Attack:
    """Everything in any order, from a thread of its own, until the block ends."""

    def __init__(self, light: Light) -> None:
        self.light, self.sent = light, 0
        self._chance, self._over = random.Random(7), threading.Event()
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> Attack:
        self._attacking = self._pool.submit(self._go_on)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._attacking.result()
        self._pool.shutdown()

    def _go_on(self) -> None:
        certificates = self.light.certificates(ATTACKER)
        with channel(self.light.address, certificates, certificates / "ca.crt") as line, Hanging(line) as hanging:
            while not self._over.is_set():
                one = draft(self.light)
                with suppress(grpc.RpcError):
                    self._chance.choice((self._upload, self._parts, self._call, self._too_far))(one)
                hanging.begin(
                    f"/{OPENFL}/{UPLOAD}", *list(messages([one.honest()], 2**16))[: self._chance.randrange(9)]
                )
                self.sent += 1

    def _upload(self, one: Draft) -> None:
        one.send(self._chance.choice(CASES)(one))

    def _parts(self, one: Draft) -> None:
        one.member.stream(UPLOAD, self._chance.choice(list(STREAMS.values()))(one), timeout=5.0)

    def _call(self, one: Draft) -> None:
        name = self._chance.choice((JOIN, REPORT, ECHO))
        one.member.call(name, self._chance.randbytes(self._chance.randrange(2**21)), SERVICE)

    def _too_far(self, one: Draft) -> None:
        one.member.validate(one.round, nll=-1e30, molecules=2**31 - 1)
        one.send(one.with_model(against(self.light).tobytes()))


def _run(one: Light, attacked: bool) -> tuple[bytes, int]:
    """The final model's file, and how many attacks there were."""
    one.open()
    sent = 0
    for _ in range(ROUNDS):
        if attacked:
            with Attack(one) as attack:
                one.report(*HONEST)
                finished = one.close(HONEST)
            sent += attack.sent
        else:
            finished = one.play(*HONEST)
        assert sorted(finished.body.weights) == HONEST
    ended = one.finish()
    assert (ended.body.outcome, ended.body.missing) == ("quorum", [ATTACKER])
    return (one.work / "model.safetensors").read_bytes(), sent


def test_the_model_is_byte_for_byte_that_of_a_run_without_the_attacks(light: Build) -> None:
    calm, attacked = (light(light_settings(*HONEST, ATTACKER, length=ROUNDS, quorum=3, grace=1.0)) for _ in range(2))
    without, _ = _run(calm, attacked=False)
    under, sent = _run(attacked, attacked=True)
    assert under == without
    assert sent > 2 * ROUNDS
    assert sum(event.body.times for event in attacked.stage.events(UpdateRefused)) > ROUNDS
    assert np.isfinite(attacked.stage.checkpoint(ROUNDS)).all()
