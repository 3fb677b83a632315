"""What a site does in a round: validate the round's model, then train it. Each is reported by one upload."""

from __future__ import annotations

from dataclasses import dataclass

LOSS = "loss"
NEGATIVE_NLL = "negative_nll"  # negated, since OpenFL calls the largest value the best
SECONDS = "seconds"


@dataclass(frozen=True)
class Task:
    name: str
    metrics: tuple[str, ...]  # each one number, sent with the upload
    sends_payload: bool  # whether the upload holds the payload's sections too


VALIDATE = Task("aggregated_model_validation", (NEGATIVE_NLL, SECONDS), sends_payload=False)
TRAIN = Task("train", (LOSS, SECONDS), sends_payload=True)
TASKS = {task.name: task for task in (VALIDATE, TRAIN)}  # in the order in which a site does them
