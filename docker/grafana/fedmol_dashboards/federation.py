"""The federation, as the aggregator sees it."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard, heatmap, stat, statetimeline, timeseries

from fedmol_dashboards import trust
from fedmol_dashboards.boards import board, section
from fedmol_dashboards.panels import Place, Query, figure, lines, phases, spread, words
from fedmol_dashboards.states import run_mapping, run_state, site_mapping, site_state

_HERE = 'job="aggregator"'
_OUT = "late|hung|lost|refused|failed|stopped|unknown"
_SENT = f'fedmol_bytes_total{{{_HERE},direction="sent"}}'
_EVERYWHERE = 'job=~"aggregator|site"'


def federation() -> dashboard.Dashboard:
    made = board("fedmol-federation", "Federation", "One run: where it is, how it trains, what moves, whom to trust.")
    now = (_run(), _round(), _finished(), _time_left(), _at_work(), _standstill())
    made = section(made, "Now", *now, _sites(), trust.alerts(Place(9, 9)))
    made = section(made, "Training", _nll(), _loss(), _speed(), _norms(), _duration(), _durations())
    made = section(made, "Traffic", _rate(), _total())
    made = section(made, "Samples", _samples())
    parties = (trust.certificates(Place(12, 6), _EVERYWHERE), trust.log(Place(6, 6), _EVERYWHERE))
    refused = (trust.refusals(), trust.uncounted(), trust.disk(Place(8), _EVERYWHERE))
    return section(made, "Trust", *refused, *parties, trust.sidecars(Place(6, 6)))


def _run() -> stat.Panel:
    about = "What the run is doing. Silent: it is not over, and nobody writes its log."
    return words("Run", about, Place(4, 4), Query(run_state(_HERE)), run_mapping())


def _round() -> stat.Panel:
    now, target = f"max(fedmol_round{{{_HERE}}})", f"max(fedmol_rounds_target{{{_HERE}}})"
    about = "The round that is going on, and how many there shall be."
    return figure("Round", about, Place(4, 4), Query(now, "now"), Query(target, "of"))


def _finished() -> stat.Panel:
    share = f"max(fedmol_rounds_finished{{{_HERE}}}) / max(fedmol_rounds_target{{{_HERE}}})"
    return figure("Finished", "Share of the rounds that are over.", Place(3, 4), Query(share), unit="percentunit")


def _time_left() -> stat.Panel:
    about = "At the mean pace of the rounds so far; unknown before the first is over."
    left = Query(f"max(party:fedmol_run:seconds_left{{{_HERE}}})")
    return figure("Time left", about, Place(4, 4), left, unit="s").no_value("after round 1")


def _at_work() -> stat.Panel:
    here = Query(f'sum(fedmol_site_state{{{_HERE},state!~"{_OUT}"}})', "here")
    needed = Query(f"max(fedmol_quorum_sites{{{_HERE}}})", "quorum")
    return figure("Sites at work", "Sites of which all is well, and how many a round needs.", Place(4, 4), here, needed)


def _standstill() -> stat.Panel:
    about = "How many usual rounds ago anybody last took a step or sent an update. The alert NoProgress fires above 3."
    ago = Query(f"max(party:fedmol_last_progress:rounds{{{_HERE}}})")
    steps = [(None, "green"), (1, "yellow"), (3, "red")]
    return figure("Standstill", about, Place(5, 4), ago, decimals=2, steps=steps).no_value("not begun")


def _sites() -> statetimeline.Panel:
    about = "What each site is doing, as far as the aggregator has heard of it."
    return phases("Sites", about, Place(15, 9), Query(site_state(_HERE), "{{site}}"), site_mapping())


def _nll() -> timeseries.Panel:
    about = "Of the model that entered the last finished round, in nats per molecule; lower is better."
    everyone, each = (
        Query(f"fedmol_nll{{{_HERE}}}", "all sites"),
        Query(f"fedmol_validation_nll{{{_HERE}}}", "{{site}}"),
    )
    return lines("Validation NLL", about, Place(8), everyone, each)


def _loss() -> timeseries.Panel:
    about = "Mean of the last finished round over all sites, and the newest step of each site."
    everyone, each = Query(f"fedmol_loss{{{_HERE}}}", "all sites"), Query(f"fedmol_train_loss{{{_HERE}}}", "{{site}}")
    return lines("Training loss", about, Place(8), everyone, each)


def _speed() -> timeseries.Panel:
    about = "Gradient steps that each site takes. All at zero while the run goes on: nobody trains."
    rate = f"sum by (site) (rate(fedmol_train_steps_total{{{_HERE}}}[$__rate_interval]))"
    return lines("Steps per second", about, Place(8), Query(rate, "{{site}}"))


def _norms() -> timeseries.Panel:
    about = "How far each site's last update moved the model. One far above the others is worth a look."
    return lines("Update norms", about, Place(8), Query(f"fedmol_update_norm{{{_HERE}}}", "{{site}}"))


def _duration() -> timeseries.Panel:
    about = "Of all rounds so far. A 95th percentile far above the median: some rounds had to wait."
    shares = [Query(_quantile(share), name) for share, name in ((0.5, "median"), (0.95, "95th percentile"))]
    mean = Query(f"max(party:fedmol_round_duration_seconds:mean{{{_HERE}}})", "mean")
    return lines("Round duration", about, Place(8), *shares, mean, unit="s")


def _quantile(share: float) -> str:
    return f"histogram_quantile({share}, sum by (le) (fedmol_round_duration_seconds_bucket{{{_HERE}}}))"


def _durations() -> heatmap.Panel:
    ended = f"sum by (le) (increase(fedmol_round_duration_seconds_bucket{{{_HERE}}}[$__rate_interval]))"
    about = "When rounds ended, and how long they had taken."
    return spread("Rounds by duration", about, Place(8), Query(ended, "{{le}}"), "s")


def _rate() -> timeseries.Panel:
    about = "What each site sends: once a round, the size of the model."
    rate = Query(f"sum by (site) (rate({_SENT}[$__rate_interval]))", "{{site}}")
    return lines("Model bytes per second", about, Place(12), rate, unit="Bps")


def _total() -> timeseries.Panel:
    each, everyone = Query(f"sum by (site) ({_SENT})", "{{site}}"), Query(f"sum({_SENT})", "all sites")
    return lines(
        "Model bytes sent", "What left each site since the run began.", Place(12), each, everyone, unit="decbytes"
    )


def _samples() -> timeseries.Panel:
    about = "Molecules drawn from the newest model. Many that were trained on: it repeats what it has seen."
    drawn = (
        Query(f"fedmol_sample_validity_ratio{{{_HERE}}}", "valid"),
        Query(f"fedmol_sample_uniqueness_ratio{{{_HERE}}}", "distinct, of the relaxed-valid"),
        Query(f"fedmol_sample_train_hits_ratio{{{_HERE}}}", "trained on, of the distinct"),
    )
    return lines("Samples", about, Place(24), *drawn, unit="percentunit").min(0).max(1)
