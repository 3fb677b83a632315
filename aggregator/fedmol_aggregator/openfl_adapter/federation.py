"""OpenFL's aggregator, built from the settings in memory: no workspace, no plan file, no ids made of hashes."""

from __future__ import annotations

from pathlib import Path

from openfl.federated import Plan

from fedmol.federation.algorithms import Vector
from fedmol.federation.identity import aggregator_name
from fedmol.federation.plan import MODEL, TRAIN, render
from fedmol.federation.settings import Settings
from fedmol_aggregator.book import RoundBook
from fedmol_aggregator.openfl_adapter.aggregation import BookedAggregation
from fedmol_aggregator.openfl_adapter.aggregator import CheckedAggregator


def build(
    settings: Settings, run: str, initial: Vector, book: RoundBook, site_of: dict[str, str], state: Path
) -> CheckedAggregator:
    """The aggregator of a run, with whatever an earlier process left in `state` taken up again."""
    plan = Plan()
    plan.name, plan.authorized_cols = "fedmol", list(site_of)
    plan.config = render(settings, state)
    plan.verify()
    plan.resolve()
    # OpenFL derives its ids from a hash of the whole plan, so that any difference in a path would part the sites.
    plan.federation_uuid, plan.aggregator_uuid = run, aggregator_name(run)
    plan.config["tasks"][TRAIN]["aggregation_type"] = BookedAggregation(book, site_of)
    plan.config["aggregator"]["settings"] |= {"book": book, "site_of": site_of, "callbacks": []}
    recovering: list[CheckedAggregator] = []
    plan.config["straggler_handling_policy"]["settings"] = {
        "may_close": lambda: bool(recovering) and book.rule.may_close(recovering[0].reported)
    }
    aggregator: CheckedAggregator = plan.get_aggregator(tensor_dict={MODEL: initial})
    recovering.append(aggregator)
    return aggregator
