"""A fedmol algorithm as an OpenFL aggregation function."""

from __future__ import annotations

from typing import Any

import numpy as np
from openfl.interface.aggregation_functions import AggregationFunction

from fedmol.federation.algorithms import Update, Vector
from fedmol_aggregator.book import RoundBook


class BookedAggregation(AggregationFunction):  # type: ignore[misc]
    """Hands the round's updates to the book. The model is one flat tensor, so one call sees it whole."""

    def __init__(self, book: RoundBook, site_of: dict[str, str]) -> None:
        super().__init__()
        self.book, self.site_of = book, site_of

    def call(self, local_tensors: Any, db_iterator: Any, tensor_name: str, fl_round: int, tags: Any) -> Vector:
        current = next(
            row["nparray"]
            for row in db_iterator
            if row["tensor_name"] == tensor_name and row["round"] == fl_round and tuple(row["tags"]) == ("model",)
        )
        updates = [Update(self.site_of[t.col_name], float(t.weight), np.asarray(t.tensor)) for t in local_tensors]
        return self.book.aggregate(fl_round + 1, np.asarray(current), updates)
