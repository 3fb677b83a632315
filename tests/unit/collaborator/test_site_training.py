"""A site's round: the same bytes however often it is begun, broken off or asked for again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from fedmol.errors import Exit, FedmolError
from fedmol.fl.messages import RoundOpening
from fedmol.fl.payload import CONTROL, MODEL, section_digests
from fedmol.graphs import Graphs
from fedmol.telemetry.events.round_events import ModelValidated, RoundModelReceived, UpdateSent
from fedmol.telemetry.events.run_events import StateDamaged
from fedmol.telemetry.events.site_events import TrainingStep
from fedmol.telemetry.log import EventLog
from fedmol_collaborator.site_state import PartialRound
from fedmol_collaborator.site_training import Trained, _rounds_sent, _some
from tests.support.site import STEPS, Site

SCAFFOLD = {"strategy": "scaffold", "local_method": "scaffold"}
ALGORITHMS = pytest.mark.parametrize("changes", [{}, SCAFFOLD], ids=["fedavg", "scaffold"])


def _train(site: Site, round: int, scale: float = 1.0) -> Trained:
    start = site.start(scale)
    digests = section_digests(start)
    counted = round - 1 or None
    opening = RoundOpening(round=round, digests=digests, last_counted=counted, reason=None, members_since=1)
    site.training.opening = opening
    return site.training.train(round, start)


def _bytes(trained: Trained) -> dict[str, bytes]:
    return {name: vector.tobytes() for name, vector in trained.sections.items()}


@pytest.fixture
def two_rounds(tmp_path: Path) -> Callable[[dict[str, str]], list[dict[str, bytes]]]:
    """What a site sends in two rounds without any disturbance."""

    def play(changes: dict[str, str]) -> list[dict[str, bytes]]:
        site = Site(tmp_path / "undisturbed", **changes)
        return [_bytes(_train(site, 1)), _bytes(_train(site, 2, scale=0.9))]

    return play


Undisturbed = Callable[[dict[str, str]], list[dict[str, bytes]]]


def test_the_same_model_is_validated_to_the_same_number_and_another_to_another(tmp_path: Path) -> None:
    site = Site(tmp_path)
    model = site.start()[MODEL]
    first, again, other = (site.training.validate(*one).nll for one in ((1, model), (2, model), (3, -model)))
    assert first == again != other
    told = {event.round: event.body.nll for event in site.said(ModelValidated)}
    assert told == {1: first, 2: again, 3: other}
    assert site.said(RoundModelReceived)[0].body.bytes == model.nbytes


@ALGORITHMS
def test_a_round_sends_the_agreed_sections_and_writes_it_down(tmp_path: Path, changes: dict[str, str]) -> None:
    site = Site(tmp_path, **changes)
    trained = _train(site, 1)
    assert trained.sections.keys() == site.training.payload.by_name.keys() == {MODEL, *([CONTROL] if changes else [])}
    assert not np.array_equal(trained.sections[MODEL], site.start()[MODEL])
    assert np.isfinite(trained.loss)
    (sent,) = site.said(UpdateSent)
    assert (sent.round, sent.body.bytes) == (1, sum(one.nbytes for one in trained.sections.values()))
    assert site.training.last_sent(2) == 1


@ALGORITHMS
def test_a_round_that_was_trained_is_sent_again_without_training(tmp_path: Path, changes: dict[str, str]) -> None:
    site = Site(tmp_path, **changes)
    first = _train(site, 1)
    steps = len(site.said(TrainingStep))
    site.restart()
    again = _train(site, 1)
    assert _bytes(again) == _bytes(first)
    assert again.loss == first.loss
    assert len(site.said(TrainingStep)) == steps


@ALGORITHMS
def test_a_round_from_another_model_is_trained_anew(tmp_path: Path, changes: dict[str, str]) -> None:
    site = Site(tmp_path, **changes)
    assert _bytes(_train(site, 1)) != _bytes(_train(site, 1, scale=0.9))


@ALGORITHMS
def test_a_round_that_was_broken_off_goes_on_to_the_same_bytes(
    tmp_path: Path, two_rounds: Undisturbed, changes: dict[str, str]
) -> None:
    expected, site = two_rounds(changes), Site(tmp_path / "stopped", **changes)
    for round, scale in ((1, 1.0), (2, 0.9)):
        site.stop.set()
        with pytest.raises(FedmolError, match=f"step 1 of round {round}") as stopped:
            _train(site, round, scale)
        assert stopped.value.exit is Exit.TERMINATED
        site.restart()
        steps = _steps(site)
        assert _bytes(_train(site, round, scale)) == expected[round - 1]
        assert steps == [*range(2, STEPS + 1)]


def _steps(site: Site) -> list[int]:
    """The steps that the site takes from now on."""
    steps: list[int] = []
    site.training.reporter.step = lambda **fields: steps.append(fields["step"])  # type: ignore[method-assign]
    return steps


def test_the_progress_of_a_round_is_kept_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedmol_collaborator.site_training._SAVE_EVERY", -1.0)
    site, kept = Site(tmp_path), list[int]()
    save = site.training.store.save_partial

    def noted(partial: PartialRound) -> None:
        kept.append(partial.steps)
        save(partial)

    monkeypatch.setattr(site.training.store, "save_partial", noted)
    _train(site, 1)
    assert kept == [*range(1, STEPS)]
    assert not site.training.store.partial_path.exists()


@ALGORITHMS
def test_a_damaged_file_of_a_round_is_made_again_and_named(
    tmp_path: Path, two_rounds: Undisturbed, changes: dict[str, str]
) -> None:
    expected, site = two_rounds(changes), Site(tmp_path / "damaged", **changes)
    _train(site, 1)
    path = site.training.store.files.path(1)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    site.restart()
    assert _bytes(_train(site, 1)) == expected[0]
    (damage,) = site.said(StateDamaged)
    assert damage.body.file == str(path)


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"short")], ids=["missing", "damaged"])
def test_without_the_round_before_nothing_is_trained(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    site = Site(tmp_path)
    _train(site, 1)
    path = site.training.store.files.path(1)
    damage(path)
    site.restart()
    with pytest.raises(FedmolError) as refused:
        _train(site, 2)
    assert refused.value.exit is Exit.STATE_UNUSABLE
    assert str(path) in refused.value.message
    assert not [event for event in site.said(UpdateSent) if event.round == 2]


def test_the_optimiser_goes_on_from_round_to_round(tmp_path: Path, two_rounds: Undisturbed) -> None:
    second = two_rounds({})[1]
    fresh = Site(tmp_path / "fresh")
    assert _bytes(_train(fresh, 2, scale=0.9)) != second  # without the round before


def test_validation_molecules_are_no_prefix_of_a_sorted_shard() -> None:
    counts = torch.arange(1, 101)
    graphs = Graphs(torch.zeros(100, 1, dtype=torch.int8), torch.zeros(100, 1, 1, dtype=torch.int8), counts)
    chosen = _some(graphs, 20, seed=0).counts
    assert len(set(chosen.tolist())) == 20
    assert 30 < chosen.double().mean() < 71  # a prefix would have 10.5
    assert torch.equal(chosen, _some(graphs, 20, seed=0).counts)
    assert len(_some(graphs, 1000, seed=0)) == 100


def test_only_the_updates_of_this_run_count_as_sent(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    EventLog(path, run="earlier", site="north").write(UpdateSent(tensors=[], bytes=0), round=4)
    events = EventLog(path, run="now", site="north")
    events.write(RoundModelReceived(bytes=0), round=2)
    events.write(UpdateSent(tensors=[], bytes=0), round=1)
    assert _rounds_sent(events) == {1}
