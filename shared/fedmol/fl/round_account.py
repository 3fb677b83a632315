"""The account of a round: who counted with what weight, what was measured, and what it cost. It is the
`round_finished` event, and lies beside the model in the round's file."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Mapping
from typing import Any

from fedmol.fl.payload import MODEL
from fedmol.fl.tasks import LOSS, NEGATIVE_NLL, SECONDS, TRAIN, VALIDATE
from fedmol.fl.uploads import UploadRecord
from fedmol.telemetry.events.round_events import RoundFinished

Reports = Mapping[str, Mapping[str, UploadRecord]]  # by site, then by task


def account(
    round: int,
    sites: Collection[str],
    reports: Reports,
    weights: Mapping[str, float],
    excluded: Collection[str],
    moves: Mapping[str, float],
    last_counted: dict[str, int],
    seconds: float,
    cpu_seconds: float,
    digests: Mapping[str, str],
    others: Mapping[str, Any],
) -> RoundFinished:
    """Sites are named in the order of their names; `excluded` reported, but moved too far. `moves` are those that are
    known of each site, this round's or earlier ones, see fedmol.fl.update_norms. `last_counted` are the rounds in which
    the sites counted last before this one, `digests` those of the sections that leave it, `others` the entries about
    the sections beside the model, see fedmol.fl.section_shares.
    """
    loss = {site: reports[site][TRAIN.name].metrics[LOSS] for site in weights}
    nll = {site: -reports[site][VALIDATE.name].metrics[NEGATIVE_NLL] for site in weights}
    working = max(sum(report.metrics[SECONDS] for report in reports[site].values()) for site in weights)
    return RoundFinished(
        sites=list(weights),
        weights=dict(weights),
        missing=sorted(set(sites) - set(weights) - set(excluded)),
        excluded=sorted(excluded),
        moves=dict(sorted(moves.items())),
        last_counted=dict(sorted((last_counted | dict.fromkeys(weights, round)).items())),
        seconds=_thousandths(seconds),
        seconds_outside_training=_thousandths(seconds - working),
        aggregator_cpu_seconds=_thousandths(cpu_seconds),
        loss=_mean(weights, loss),
        nll=_mean(weights, nll),
        site_loss=loss,
        site_nll=nll,
        **_digest_entries(digests),
        **others,
    )


def before_round_1(digests: Mapping[str, str]) -> RoundFinished:
    """The account of no round: nobody has counted yet. `digests` are those of the sections that round 1 starts from."""
    nobody: dict[str, Any] = {"sites": [], "weights": {}, "missing": [], "site_loss": {}, "site_nll": {}}
    return RoundFinished(**nobody, seconds=None, loss=None, nll=None, **_digest_entries(digests))


def digests_of(account: RoundFinished) -> dict[str, str]:
    """Of each section that left the round."""
    return {MODEL: account.model_digest, **account.digests}


def _digest_entries(digests: Mapping[str, str]) -> dict[str, Any]:
    others = {name: digest for name, digest in digests.items() if name != MODEL}
    return {"model_digest": digests[MODEL], **({"digests": others} if others else {})}


def uncounted(account: RoundFinished) -> list[str]:
    """The sites whose work of this round the model does not hold: they did not report, or moved too far."""
    return sorted((*account.missing, *account.excluded))


def _mean(weights: Mapping[str, float], values: Mapping[str, float]) -> float:
    return sum(weight * values[site] for site, weight in weights.items())


def _thousandths(value: float) -> float:
    return builtins.round(value, 3)
