"""An honest member repeats itself, overtakes itself, and does its tasks in any order: it counts once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from benchmarks.federation.member import OPENFL, messages
from tests.support.attacker import ATTACKER, UPLOAD, Hanging, draft
from tests.support.light import MOVE, Light


def test_the_training_before_the_validation(under_attack: Light) -> None:
    for site in under_attack.sites:
        under_attack.train(site)
    for site in reversed(under_attack.sites):
        under_attack.validate(site)
    under_attack.close(under_attack.sites)


def test_everything_twice(under_attack: Light) -> None:
    for site in (ATTACKER, ATTACKER, "east"):
        under_attack.report(site)
    under_attack.play()


def test_a_second_and_other_update_is_answered_and_changes_nothing(under_attack: Light) -> None:
    under_attack.train(ATTACKER)
    under_attack.train(ATTACKER, under_attack.update(ATTACKER, move=MOVE / 3))
    under_attack.play()


def test_an_update_after_a_refused_one_and_before_another(under_attack: Light) -> None:
    one = draft(under_attack)
    with pytest.raises(grpc.RpcError, match="update-refused"):
        one.send(one.whole(one.model()))
    one.send(one.honest())
    one.send(one.whole(one.model()))  # the task is done: nobody reads it
    under_attack.play()


def test_the_same_update_on_two_lines_at_once(under_attack: Light) -> None:
    one = draft(under_attack)
    upload = one.honest()

    def send(_: int) -> grpc.StatusCode:
        try:
            one.send(upload, size=2**16)
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    with ThreadPoolExecutor(4) as pool:
        answers = set(pool.map(send, range(8)))
    assert grpc.StatusCode.OK in answers
    assert answers <= {grpc.StatusCode.OK, grpc.StatusCode.CANCELLED, grpc.StatusCode.RESOURCE_EXHAUSTED}
    under_attack.play()


def test_a_whole_upload_takes_the_place_of_one_that_stopped(under_attack: Light) -> None:
    one = draft(under_attack)
    with Hanging(one.member.channel) as hanging:
        given_up = hanging.begin(f"/{OPENFL}/{UPLOAD}", *list(messages([one.honest()], 2**18))[:3])
        under_attack.play()
        assert given_up.code() is grpc.StatusCode.CANCELLED
