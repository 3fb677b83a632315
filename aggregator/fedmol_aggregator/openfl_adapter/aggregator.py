"""OpenFL's aggregator with uploads inspected, rounds booked before they are committed, and its tables pruned."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import numpy as np
from openfl.component import Aggregator
from openfl.utilities import TensorKey

from fedmol.federation.algorithms import Vector
from fedmol.federation.plan import MODEL, TRAIN
from fedmol_aggregator.book import Metrics, RoundBook


class StaleRound(Exception):
    """A site asked for the model of a round that is over."""


class CheckedAggregator(Aggregator):  # type: ignore[misc]
    """`book` hears of everything; `site_of` maps OpenFL's names to the sites' own."""

    def __init__(self, *, book: RoundBook, site_of: dict[str, str], **settings: Any) -> None:
        self.book, self.site_of = book, site_of
        self.failure: Exception | None = None
        super().__init__(**settings)

    def entering(self, round_number: int) -> Vector | None:
        """The model with which OpenFL's round `round_number` starts."""
        key = TensorKey(MODEL, self.uuid, round_number, False, ("model",))
        found: Vector | None = self.tensor_db.get_tensor_from_cache(key)
        return found

    @property
    def finished(self) -> bool:
        return bool(self._time_to_quit())

    @property
    def reported(self) -> set[str]:
        """The sites that are done with the open round."""
        return {self.site_of[peer] for peer in self.collaborators_done}

    def get_tasks(self, collaborator_name: str) -> tuple[Any, int, int, bool]:
        with self.lock:
            tasks, round_number, _, quit = super().get_tasks(collaborator_name)
        return tasks, round_number, 0, quit  # our own client paces its polling

    def get_aggregated_tensor(self, tensor_name: str, round_number: int, *rest: Any) -> Any:
        # OpenFL would hold a server thread for a minute, waiting for a tensor that has been pruned.
        if round_number != self.round_number:
            raise StaleRound(f"round {round_number + 1} is over")
        return super().get_aggregated_tensor(tensor_name, round_number, *rest)

    def send_local_task_results(
        self, collaborator_name: str, round_number: int, task_name: str, data_size: int, named_tensors: Iterable[Any]
    ) -> None:
        with self.lock:
            site = self.site_of[collaborator_name]
            if self.finished or round_number != self.round_number:
                self.book.events.write("update_late", site=site, round=round_number + 1)
                return
            if self._collaborator_task_completed(collaborator_name, task_name, round_number):
                return  # sent twice because the first answer was lost
            if task_name == TRAIN:
                current, update = self.entering(round_number), _values(named_tensors)[MODEL]
                assert current is not None
                self.book.admit(site, round_number + 1, current, update, data_size, update.nbytes)
            self._guarded(
                super().send_local_task_results, collaborator_name, round_number, task_name, data_size, named_tensors
            )

    def process_task_results(
        self, collaborator_name: str, round_number: int, task_name: str, data_size: int, named_tensors: Iterable[Any]
    ) -> None:
        self.book.record(self.site_of[collaborator_name], _metrics(task_name, _values(named_tensors)))
        super().process_task_results(collaborator_name, round_number, task_name, data_size, named_tensors)

    def tick(self) -> None:
        """Close the round if the rule allows it now; what goes wrong is left in `failure`."""
        with self.lock, suppress(Exception):
            if not self.finished:
                self._guarded(self._end_of_round_with_stragglers_check)

    def _guarded(self, step: Callable[..., None], *arguments: Any) -> None:
        # An exception at round end would leave OpenFL's round number stuck for ever: stop, and let a restart replay.
        try:
            step(*arguments)
        except Exception as error:
            self.failure = error
            raise

    def _end_of_round_check(self) -> None:
        super()._end_of_round_check()
        if not self.finished:
            self.book.begin(self.round_number + 1)
        table = self.tensor_db.tensor_db
        self.tensor_db.tensor_db = table[table["round"] >= self.round_number - 1].reset_index(drop=True)

    def _save_model(self, round_number: int, file_path: str) -> None:
        """Called at round end, before the round is committed: its model is on our disk first, so none is ever lost."""
        if file_path == self.best_state_path:
            return  # it would be the model that entered the round; every round's own is in the round store
        model = self.entering(round_number + 1)
        assert model is not None
        self.book.close(round_number + 1, model)
        super()._save_model(round_number, file_path)
        with self.persistent_db.lock:
            self.persistent_db.conn.execute("DELETE FROM tensors WHERE round < ?", (round_number,))
            self.persistent_db.conn.commit()


def _values(named_tensors: Iterable[Any]) -> dict[str, Vector]:
    return {tensor.name: np.frombuffer(tensor.data_bytes, dtype=np.float32) for tensor in named_tensors}


def _metrics(task_name: str, values: dict[str, Vector]) -> Metrics:
    # Both tasks measure their seconds: the task's name keeps them apart.
    return {
        (f"{name}.{task_name}" if name == "seconds" else name): float(value[0])
        for name, value in values.items()
        if name != MODEL
    }
