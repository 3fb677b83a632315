"""Whether what is shown can be relied on: alerts, refusals, certificates, logs, disks."""

from __future__ import annotations

from grafana_foundation_sdk.builders import bargauge, stat, table, timeseries
from grafana_foundation_sdk.models.dashboard import ValueMap, ValueMappingResult

from fedmol_dashboards.panels import Place, Query, bars, lines, rows, words

_FIRING = 'alertstate="firing"'


def alerts(place: Place, site: str | None = None) -> table.Panel:
    """Those that fire now, of everyone or of one site."""
    firing = f"ALERTS{{{_FIRING}}}"
    if site:
        firing = f'(ALERTS{{{_FIRING},party="{site}"}} or ALERTS{{{_FIRING},site="{site}"}})'
    query = Query(f"count by (alertname, severity, party, site) ({firing}){_or_none('alertname')}")
    return rows("Alerts", "Those that fire. docs/alerts.md has what to do.", place, query, hidden=["Time", "Value"])


def refusals() -> bargauge.Panel:
    about = "By the code that says why. docs/errors has a page for each."
    counted = f'sum by (code) (fedmol_rpc_errors_total{{job="aggregator"}}) > 0{_or_none("code")}'
    steps = [(None, "green"), (1, "orange")]
    return bars("Refused calls", about, Place(8), Query(counted, "{{code}}"), unit="short", steps=steps)


def _or_none(label: str) -> str:
    """A panel that has nothing to show says so, instead of looking broken."""
    return f' or on () label_replace(vector(0), "{label}", "none", "", "")'


def uncounted() -> timeseries.Panel:
    about = "Refused: not what was agreed, or not finite. Not counted: too far. Late: it came after the round."
    counted = 'sum by (site, outcome) (fedmol_updates_total{job="aggregator",outcome!="received"})'
    return lines("Updates that did not count", about, Place(8), Query(counted, "{{site}} {{outcome}}"))


def certificates(place: Place, selector: str) -> bargauge.Panel:
    """The parties' own and their authority's."""
    about = "Days until they expire. The alert CertificateExpires fires below 30, 7 and 1."
    left = f"min by (party, certificate) (fedmol_certificate_expiry_timestamp_seconds{{{selector}}} - time()) / 86400"
    steps = [(None, "red"), (1, "orange"), (7, "yellow"), (30, "green")]
    return bars("Certificates", about, place, Query(left, "{{party}}: {{certificate}}"), unit="d", steps=steps, most=90)


def log(place: Place, selector: str) -> stat.Panel:
    about = "Whether every line of the log still carries the hash of the line before it."
    intact = Query(f"fedmol_log_intact{{{selector}}}", "{{party}}")
    return words("Event log", about, place, intact, _verdict("changed", "intact"))


def sidecars(place: Place) -> stat.Panel:
    about = "Whether each sidecar answers. Training goes on without them."
    return words("Sidecars", about, place, Query('up{job=~"aggregator|site"}', "{{party}}"), _verdict("down", "up"))


def disk(place: Place, selector: str) -> timeseries.Panel:
    about = "Free where the party's state lies. The alert DiskNearlyFull fires below a tenth, or below 10 GB."
    return lines("Disk", about, place, Query(f"fedmol_disk_free_bytes{{{selector}}}", "{{party}}"), unit="decbytes")


def _verdict(bad: str, good: str) -> ValueMap:
    return ValueMap(
        {
            "0": ValueMappingResult(text=bad, color="red", index=0),
            "1": ValueMappingResult(text=good, color="green", index=1),
        }
    )
