"""What a malicious aggregator asks of a site: nothing is trained or sent that was not agreed, and nothing is obeyed."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest

from fedmol.errors import Exit
from fedmol.fl.federation import Settings
from fedmol.fl.payload import vector_digest
from fedmol.fl.tasks import TRAIN
from tests.support.scripted import SITE, Answer, Honest, Refusal, ScriptedAggregator, one_site
from tests.support.stage import Stage

Build = Callable[[Settings], Stage]


def _ends(stage: Stage, one: ScriptedAggregator, exit: Exit) -> str:
    """The site is started and ends by `exit`; its last words."""
    stage.start(SITE)
    assert stage.wait(SITE) == exit, stage.log(SITE)
    return stage.parties[SITE].last_words()


def _agreement(**changes: Any) -> Answer:
    """Another agreement than an honest one; a function makes a value of the honest one."""

    def answer(honest: Honest) -> Any:
        welcome = honest()
        if welcome.agreement is None:
            return welcome
        document = welcome.model_dump(mode="json")
        for key, value in changes.items():
            document["agreement"][key] = value(document["agreement"][key]) if callable(value) else value
        return json.dumps(document).encode()

    return answer


def _fewer(census: dict[str, Any]) -> dict[str, Any]:
    atoms = list(census["atoms"])
    atoms[atoms.index(max(atoms))] -= 1
    return {**census, "atoms": atoms}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        pytest.param({"local_steps": 0}, "'agreement.local_steps'", id="no-steps"),
        pytest.param({"local_steps": -5}, "'agreement.local_steps'", id="negative-steps"),
        pytest.param({"local_steps": 2500}, "2500 local steps a round; agreed were 4", id="many-steps"),
        pytest.param({"local_steps": 10**9}, "1000000000 local steps", id="steps-for-years"),
        pytest.param({"census": _fewer}, "a sum in which this site's own", id="fewer-atoms-than-the-site-has"),
        pytest.param({"molecules": {SITE: 7}}, "7 molecules of north", id="other-molecules"),
        pytest.param({"molecules": {}}, "no molecules of north", id="without-the-site"),
    ],
)
def test_an_agreement_that_is_not_what_the_site_knows(stage: Build, changes: dict[str, Any], named: str) -> None:
    with ScriptedAggregator(run := stage(one_site()), {"Join": _agreement(**changes)}) as one:
        malformed = named.startswith("'")
        assert named in _ends(run, one, Exit.MESSAGE_REFUSED if malformed else Exit.AGREEMENT_BROKEN)
        assert not one.uploads
        assert not one.calls("GetTasks")


def test_no_more_rounds_than_agreed(stage: Build) -> None:
    with ScriptedAggregator(run := stage(one_site(training={"rounds": 2}))) as one:
        one.rounds = 97
        assert "work in round 3; agreed were 2 rounds" in _ends(run, one, Exit.AGREEMENT_BROKEN)
        assert [round for round, task in one.uploads if task == TRAIN.name] == [1, 2]


def _round(number: int) -> Answer:
    def answer(honest: Honest) -> Any:
        said = honest()
        if hasattr(said, "round_number"):
            said.round_number = number - 1
            return said
        return said.model_copy(update={"round": number})

    return answer


@pytest.mark.parametrize("number", [0, -3, 97, 10**6])
def test_no_other_round_than_there_are(stage: Build, number: int) -> None:
    replaced = {"GetTasks": _round(number), "Opening": _round(number)}
    with ScriptedAggregator(run := stage(one_site()), replaced) as one:
        assert f"round {number}; agreed were 3 rounds" in _ends(run, one, Exit.AGREEMENT_BROKEN)
        assert not one.uploads


@pytest.mark.parametrize("call", ["GetTasks", "GetAggregatedTensor"])
def test_no_round_that_is_another_one_whenever_it_is_looked_at(stage: Build, call: str) -> None:
    stale = _refusing(grpc.StatusCode.ABORTED, "{}")
    answer = {"GetTasks": _round(2), "GetAggregatedTensor": stale}[call]
    with ScriptedAggregator(run := stage(one_site()), {call: answer}) as one:
        assert "one round after another without work" in _ends(run, one, Exit.AGREEMENT_BROKEN)
        assert not one.uploads


def test_no_task_that_is_not_known_and_none_twice(stage: Build) -> None:
    def twice(honest: Honest) -> Any:
        said = honest()
        said.tasks.extend(list(said.tasks))
        return said

    def unknown(honest: Honest) -> Any:
        said = honest()
        said.tasks[0].name = "send_shard"
        return said

    run = stage(one_site())
    for answer, named in ((twice, "4 tasks in round 1"), (unknown, "'send_shard'")):
        with ScriptedAggregator(run, {"GetTasks": answer}) as one:
            assert named in _ends(run, one, Exit.AGREEMENT_BROKEN)
            assert not one.uploads


class Turning(ScriptedAggregator):
    """Opens `again` once the site has been through `after` rounds, from `model`."""

    def __init__(self, stage: Stage, after: int, again: int, model: Callable[[Any], Any]) -> None:
        super().__init__(stage)
        self.after, self.again, self.other = after, again, model

    def _take(self, body: bytes) -> Any:
        said = super()._take(body)
        if self.round == self.after + 1:
            self.round, self.model = self.again, self.other(self.model)
        return said


@pytest.mark.parametrize(
    ("again", "named"),
    [(1, "work in round 1 after round 2"), (2, "round 2 again from the model")],
    ids=["backwards", "the-same-round-from-another-model"],
)
def test_no_round_again_from_another_model_also_after_a_restart(stage: Build, again: int, named: str) -> None:
    run = stage(one_site())
    with Turning(run, 2, again, lambda model: model + np.float32(0.01)) as one:
        assert named in _ends(run, one, Exit.AGREEMENT_BROKEN)
        sent = one.uploads
        one.after = -1
        assert named in _ends(run, one, Exit.AGREEMENT_BROKEN)
        assert one.uploads == sent
        assert [round for round, task in sent if task == TRAIN.name] == [1, 2]


def test_no_task_again_and_again(stage: Build) -> None:
    with Turning(run := stage(one_site()), 1, 1, lambda model: model) as one:
        start = one.model
        one.other = lambda _: start
        assert "of round 1 again and again" in _ends(run, one, Exit.AGREEMENT_BROKEN)
        assert len(one.uploads) == 2 * 8


def _values(change: Callable[[bytes], bytes]) -> Answer:
    def answer(honest: Honest) -> Any:
        said = honest()
        said.tensor.data_bytes = change(said.tensor.data_bytes)
        return said

    return answer


def _with_nan(content: bytes) -> bytes:
    values = np.frombuffer(content, "<f4").copy()
    values[7] = np.nan
    return values.tobytes()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        pytest.param(lambda content: content[:-4], "agreed were", id="too-short"),
        pytest.param(lambda content: content + bytes(4), "agreed were", id="too-long"),
        pytest.param(lambda content: bytes(len(content)), "the one that the round was opened with", id="another"),
    ],
)
def test_no_model_that_is_not_the_one_of_the_opening(
    stage: Build, change: Callable[[bytes], bytes], named: str
) -> None:
    with ScriptedAggregator(run := stage(one_site()), {"GetAggregatedTensor": _values(change)}) as one:
        assert named in _ends(run, one, Exit.AGREEMENT_BROKEN)
        assert not one.uploads


def test_no_model_with_numbers_that_are_not_finite(stage: Build) -> None:
    with ScriptedAggregator(run := stage(one_site())) as one:
        one.model = np.frombuffer(_with_nan(one.model.tobytes()), "<f4")
        assert vector_digest(one.model)
        assert "not finite" in _ends(run, one, Exit.AGREEMENT_BROKEN)
        assert not one.uploads


@pytest.mark.parametrize("call", ["GetAggregatedTensor", "GetTasks", "Join"])
def test_an_answer_of_900_mb_is_cut_off_while_it_comes(stage: Build, call: str) -> None:
    huge = bytes(900 * 2**20)
    run, peak = stage(one_site()), 0
    with ScriptedAggregator(run, {call: lambda _: huge}) as one:
        run.start(SITE)
        process = run.parties[SITE].process
        assert process is not None
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            with_torch = _memory(watched)
            peak = max(peak, with_torch)
            time.sleep(0.01)
        assert process.returncode == Exit.AGREEMENT_BROKEN, run.log(SITE)
        assert "more than the" in run.parties[SITE].last_words()
        assert not one.uploads
    assert 0 < peak < 900 * 2**20


def _memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _sleep_long(honest: Honest) -> Any:
    said = honest()
    del said.tasks[:]
    said.sleep_time = 2**31 - 1
    return said


class Hang:
    """An answer that does not come until the test is over."""

    def __init__(self) -> None:
        self.begun, self.over = threading.Event(), threading.Event()

    def __call__(self, honest: Honest) -> Any:
        self.begun.set()
        self.over.wait()
        return honest()


@pytest.mark.parametrize(
    "call", ["Join", "GetTasks", "Opening", "GetAggregatedTensor", "SendLocalTaskResults", "Report"]
)
def test_sigterm_is_answered_while_a_call_hangs(stage: Build, call: str) -> None:
    run, hang = stage(one_site()), Hang()
    with ScriptedAggregator(run, {call: hang}):
        run.start(SITE)
        assert hang.begun.wait(60)
        _stops_at_once(run)
        hang.over.set()


def _stops_at_once(run: Stage) -> None:
    time.sleep(0.5)
    began = time.monotonic()
    run.signal(SITE, signal.SIGTERM)
    assert run.wait(SITE) == Exit.TERMINATED, run.log(SITE)
    assert time.monotonic() - began < 10  # with two busy cores; a call's deadline is 20 s, and it has been 30 or more


def test_a_site_sleeps_no_longer_than_it_likes(stage: Build) -> None:
    run = stage(one_site())
    with ScriptedAggregator(run, {"GetTasks": _sleep_long}) as one:
        run.start(SITE)
        until = time.monotonic() + 60
        while len(one.calls("GetTasks")) < 3:
            assert time.monotonic() < until, run.log(SITE)
            time.sleep(0.1)
        _stops_at_once(run)


def _refusing(code: grpc.StatusCode, detail: str) -> Answer:
    def answer(honest: Honest) -> Any:
        raise Refusal(code, detail)

    return answer


def _error(exit: str, message: str = "it is over", cure: str = "rest") -> Answer:
    said = json.dumps({"exit": exit, "message": message, "cure": cure})
    return _refusing(grpc.StatusCode.FAILED_PRECONDITION, said)


@pytest.mark.parametrize("call", ["Join", "GetTasks"])
@pytest.mark.parametrize("exit", ["done", "internal", "terminated", "storage", "0", "no-such-code"])
def test_no_error_of_an_aggregator_ends_a_site_by_a_code_of_its_own(stage: Build, call: str, exit: str) -> None:
    with ScriptedAggregator(run := stage(one_site()), {call: _error(exit)}) as one:
        said = _ends(run, one, Exit.MODEL_DIFFERS)
        assert said.startswith("error: the aggregator refuses a call")


def test_texts_of_an_aggregator_are_short_and_printable(stage: Build) -> None:
    run = stage(one_site(network={"give_up_after": 2, "call_deadline": 5}))
    escape = "\x1b[2Jrow\nerror: x" + "y" * 5000
    with ScriptedAggregator(run, {"Join": _error("unknown-run", escape, escape)}) as one:
        said = _ends(run, one, Exit.UNKNOWN_RUN)
        assert "\x1b" not in said
        assert len(said) < 3000
    with ScriptedAggregator(run, {"Join": _error("unknown-run", "x" * 4 * 2**20)}) as one:
        said = _ends(run, one, Exit.AGGREGATOR_UNREACHABLE)
        assert len(said) < 3000


def test_a_run_is_not_over_because_the_aggregator_says_so(stage: Build) -> None:
    def quit(honest: Honest) -> Any:
        said = honest()
        said.quit = True
        del said.tasks[:]
        return said

    with ScriptedAggregator(run := stage(one_site()), {"GetTasks": quit}) as one:
        assert "the end of the run in round 1; agreed were 3 rounds" in _ends(run, one, Exit.AGREEMENT_BROKEN)
    assert not (Path(run.folder) / "sites" / SITE / "finished").exists()
