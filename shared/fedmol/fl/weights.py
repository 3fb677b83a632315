"""The weights of a round's updates: each site's share of the molecules that the federation agreed on."""

from __future__ import annotations

from collections.abc import Mapping


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
