"""What a round leaves behind: whose updates count, with what weight, and the next sections and state."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np

from fedmol.errors import Exit, FedmolError
from fedmol.fl.checkpoints import Checkpoint
from fedmol.fl.payload import MODEL, Vector, section_digests
from fedmol.fl.round_account import Reports, account
from fedmol.fl.rounds import Terms
from fedmol.fl.section_shares import OtherSections, TooLong
from fedmol.fl.tasks import TRAIN
from fedmol.fl.update_norms import Reach, largest_move
from fedmol.fl.uploads import UploadStore
from fedmol.telemetry.events.field_types import known


@dataclass(frozen=True)
class Counting:
    """Which of a round's updates count."""

    weights: dict[str, float]  # by site
    excluded: dict[str, TooLong]
    moves: dict[str, float]  # those that are known, of sites that are away as well, see fedmol.fl.update_norms
    others: OtherSections


def count(round: int, terms: Terms, last: Checkpoint, sites: Collection[str], reports: Reports) -> Counting:
    """Hold the updates of `round` against the limits.

    Raises:
        FedmolError: QUORUM_LOST when none counts.
    """
    reach = terms.reach(round)
    norms = {site: tasks[TRAIN.name].norms for site, tasks in reports.items()}
    moves = {site: tasks[TRAIN.name].norm / reach.norm for site, tasks in reports.items()}
    latest = {site: move for site, move in known(last.account.moves).items() if site in sites}
    limit = largest_move((latest | moves).values(), reach.steps, terms.norm_ratio)
    others = _other_sections(terms, last, sites).with_round(norms, reach)
    excluded = _beyond(moves, norms, limit, reach) | others.too_long(norms, terms.norm_ratio)
    agreed = terms.molecules()
    counted = {site: agreed[site] for site in reports if site not in excluded}
    if not counted:
        raise FedmolError(
            Exit.QUORUM_LOST,
            f"no update of round {round} counts: every one moved too far",
            "look at the sites' losses, lower the learning rate, or raise rounds.max_update_norm_ratio",
        )
    latest |= {site: moves[site] for site in counted}
    return Counting(shares(counted, terms.largest_share), excluded, latest, others)


def close(
    round: int,
    terms: Terms,
    last: Checkpoint,
    sites: Collection[str],
    reports: Reports,
    counting: Counting,
    uploads: UploadStore,
    cost: Callable[[], tuple[float, float]],
) -> Checkpoint:
    """The round's sections, state and account. `cost` tells its seconds, and those of the processor, when all is done.

    Raises:
        DamagedUpdate: a stored update is not what was received.
        FedmolError: DIVERGED when the strategy's step leads to numbers that are not finite; INTERNAL when it does not
            keep to `Strategy.step`.
    """
    others, weights = counting.others, counting.weights
    updates = [
        uploads.update(reports[site][TRAIN.name], weight, others.shares[site]) for site, weight in weights.items()
    ]
    with np.errstate(over="ignore", invalid="ignore"):  # looked for in what comes out
        sections, state = terms.step(last.sections, updates, last.state, new_members=others.members_since == round + 1)
    _require_finite(sections, round)
    _require_finite(state, round)
    norms = {site: reports[site][TRAIN.name].norms for site in weights}
    said = account(
        round,
        sites,
        reports,
        weights,
        counting.excluded,
        counting.moves,
        dict(last.account.last_counted),
        *cost(),
        digests=section_digests(sections),
        others=others.entries(round, norms),
    )
    return Checkpoint(sections, state, round, said)


def _beyond(
    moves: Mapping[str, float], norms: Mapping[str, Mapping[str, float]], limit: float, reach: Reach
) -> dict[str, TooLong]:
    """The sites that moved the model further than `limit` of what is possible."""
    return {
        site: TooLong(MODEL, norms[site][MODEL], limit * reach.norm)
        for site, move in moves.items()
        if not move <= limit
    }


def _other_sections(terms: Terms, last: Checkpoint, sites: Collection[str]) -> OtherSections:
    members = {site: molecules for site, molecules in terms.molecules().items() if site in sites}
    return OtherSections.of(last, terms.payload, shares(members, terms.largest_share))


def _require_finite(vectors: Mapping[str, Vector], round: int) -> None:
    for name, vector in vectors.items():
        if not (np.isfinite(vector.min()) and np.isfinite(vector.max())):  # a NaN is both
            raise FedmolError(
                Exit.DIVERGED,
                f"round {round} would leave numbers in {name} that are not finite",
                "start a new run with a lower strategy.learning_rate",
            )


def shares(molecules: Mapping[str, int], cap: float | None = None) -> dict[str, float]:
    """Each site's weight, in the order of the sites' names; together they are 1.

    With `cap`, no site weighs more than that, and what it loses goes to the others in proportion to their molecules.
    Where the cap is below an equal share, all weigh the same.

    >>> shares({"a": 900, "b": 50, "c": 50}, cap=0.5)
    {'a': 0.5, 'b': 0.25, 'c': 0.25}
    """
    total = sum(molecules.values())
    weights = {site: molecules[site] / total for site in sorted(molecules)}
    if cap is None:
        return weights
    if cap * len(weights) <= 1:
        return dict.fromkeys(weights, 1 / len(weights))
    capped: set[str] = set()
    while too_heavy := {site for site, weight in weights.items() if weight > cap and site not in capped}:
        capped |= too_heavy
        rest = sum(count for site, count in molecules.items() if site not in capped)
        left = 1 - cap * len(capped)
        weights = {site: cap if site in capped else left * molecules[site] / rest for site in weights}
    return weights
