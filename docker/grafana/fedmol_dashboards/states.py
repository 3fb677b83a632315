"""States as Grafana draws them.

Prometheus has one series for each state; a timeline needs one number that stands for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from grafana_foundation_sdk.models.dashboard import ValueMap, ValueMappingResult

from fedmol.telemetry.state import RUN_STATES, SITE_STATES, RunState, SiteState

_GREY = "#8e8e8e"
_RUN: dict[RunState, str] = {
    "waiting-for-log": _GREY,
    "gathering": "blue",
    "running": "green",
    "silent": "orange",
    "finished": "dark-blue",
    "stopped": "red",
}
_SITE: dict[SiteState, str] = {
    "connecting": "light-blue",
    "reading": "light-blue",
    "waiting": "super-light-green",
    "receiving": "light-blue",
    "validating": "light-purple",
    "training": "green",
    "sending": "blue",
    "late": "yellow",
    "hung": "dark-orange",
    "lost": "red",
    "refused": "dark-red",
    "failed": "dark-red",
    "stopped": "orange",
    "removed": _GREY,
    "finished": "dark-blue",
    "unknown": _GREY,
}


def run_state(selector: str) -> str:
    """The number of the state that the run is in."""
    return f"max({_numbered('fedmol_run_state', selector, RUN_STATES)})"


def site_state(selector: str) -> str:
    """The number of the state that each site is in."""
    return f"max by (site) ({_numbered('fedmol_site_state', selector, SITE_STATES)})"


def _numbered(metric: str, selector: str, states: tuple[str, ...]) -> str:
    return " or ".join(f'{metric}{{{selector},state="{state}"}} * {number}' for number, state in enumerate(states))


def run_mapping() -> ValueMap:
    return _mapping({state: _RUN[state] for state in RUN_STATES})


def site_mapping() -> ValueMap:
    return _mapping({state: _SITE[state] for state in SITE_STATES})


def _mapping(colours: Mapping[str, str]) -> ValueMap:
    named = enumerate(colours.items())
    return ValueMap({str(i): ValueMappingResult(text=state, color=colour, index=i) for i, (state, colour) in named})
