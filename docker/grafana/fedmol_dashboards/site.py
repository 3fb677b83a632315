"""One site, as its own log tells it: what it did, and what left it."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard, stat, statetimeline, timeseries
from grafana_foundation_sdk.models.dashboard import VariableRefresh, VariableSort

from fedmol_dashboards import trust
from fedmol_dashboards.boards import board, section
from fedmol_dashboards.panels import DATASOURCE, Place, Query, figure, lines, phases, words
from fedmol_dashboards.states import site_mapping, site_state

_OWN = 'job="site",party="$site"'
_MOVED = f"fedmol_bytes_total{{{_OWN}}}"


def site() -> dashboard.Dashboard:
    made = board("fedmol-site", "Site", "One site, from its own event log: its state, its training, and what left it.")
    made = made.with_variable(_choice())
    now = (_state(), _round(), _seen(), _sent(), trust.log(Place(4, 4), _OWN), trust.certificates(Place(5, 4), _OWN))
    made = section(made, "Now", *now, _states())
    made = section(made, "Training", _loss(), _nll(), _speed())
    made = section(made, "What left the site, and what came", _rate(), _total())
    return section(made, "Machine and alerts", trust.disk(Place(12), _OWN), trust.alerts(Place(12), "$site"))


def _choice() -> dashboard.QueryVariable:
    chosen = dashboard.QueryVariable("site").label("Site").datasource(DATASOURCE)
    chosen = chosen.query('label_values(up{job="site"}, party)').refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    return chosen.sort(VariableSort.ALPHABETICAL_ASC)


def _state() -> stat.Panel:
    return words("State", "What the site is doing.", Place(4, 4), Query(site_state(_OWN)), site_mapping())


def _states() -> statetimeline.Panel:
    return phases(
        "States", "What the site did when.", Place(24, 5), Query(site_state(_OWN), "{{site}}"), site_mapping()
    )


def _round() -> stat.Panel:
    return figure("Round", "The round that the site is in.", Place(3, 4), Query(f"max(fedmol_round{{{_OWN}}})"))


def _seen() -> stat.Panel:
    about = "Since the site last wrote into its log. While it waits for the others, it writes nothing."
    ago = Query(f"time() - max(fedmol_site_last_seen_timestamp_seconds{{{_OWN}}})")
    return figure("Last sign of life", about, Place(4, 4), ago, unit="s")


def _sent() -> stat.Panel:
    sent = Query(f'sum(fedmol_bytes_total{{{_OWN},direction="sent"}})')
    return figure("Sent", "Bytes of models that have left the site.", Place(4, 4), sent, unit="decbytes", decimals=1)


def _loss() -> timeseries.Panel:
    return lines("Training loss", "Of the newest step.", Place(8), Query(f"fedmol_train_loss{{{_OWN}}}", "{{site}}"))


def _nll() -> timeseries.Panel:
    about = (
        "Of the model that entered the round, on the site's validation molecules; nats per molecule, lower is better."
    )
    return lines("Validation NLL", about, Place(8), Query(f"fedmol_validation_nll{{{_OWN}}}", "{{site}}"))


def _speed() -> timeseries.Panel:
    about = "Speed of training when it was last told."
    speed = Query(f"fedmol_train_molecules_per_second{{{_OWN}}}", "{{site}}")
    return lines("Molecules per second", about, Place(8), speed)


def _rate() -> timeseries.Panel:
    about = "Once a round the model comes, and the update leaves."
    rate = Query(f"sum by (direction) (rate({_MOVED}[$__rate_interval]))", "{{direction}}")
    return lines("Model bytes per second", about, Place(12), rate, unit="Bps")


def _total() -> timeseries.Panel:
    total = Query(f"sum by (direction) ({_MOVED})", "{{direction}}")
    return lines("Model bytes", "Since the run began.", Place(12), total, unit="decbytes")
