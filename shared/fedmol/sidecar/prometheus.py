"""The run as Prometheus sees it. Labels are bounded: site, state, direction, outcome, code; never a run, a SMILES or a
message. Every figure comes out of the log, so a sidecar that was restarted counts on where it was."""

from __future__ import annotations

import shutil
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from fedmol.sidecar.log_watch import Watch
from fedmol.telemetry.state import (
    EXITS,
    OUTCOMES,
    REFUSALS,
    ROUND_SECONDS,
    RUN_STATES,
    SITE_STATES,
    Past,
    Run,
    Site,
)
from fedmol.telemetry.verdict import run_state, site_state


class RunCollector(Collector):
    """Asked anew at every scrape; keeps nothing itself."""

    def __init__(self, watch: Watch) -> None:
        self.watch, self._build = watch, {"version": version("fedmol")}

    def collect(self) -> Iterator[Metric]:
        run, now = self.watch.run, self.watch.clock()
        yield InfoMetricFamily("fedmol_build", "The version of this sidecar.", value=self._build)
        if self.watch.reader.caught_up:  # half a log would look like a run that has jumped back
            yield from _run(run, now)
            yield from _sites(run, now)
        elif run.role is None:
            yield _run_state(run, now)
        yield from _samples(self.watch)
        yield from _log(self.watch)
        yield from _certificates(self.watch)


def _gauge(name: str, about: str, value: float | None) -> Iterator[Metric]:
    """What is not known yet is left out: a zero would be a lie."""
    if value is not None:
        yield GaugeMetricFamily(f"fedmol_{name}", about, value=value)


def _one_of(name: str, about: str, label: str, known: Iterable[str], current: str | None) -> Metric:
    """1 for the one that holds, 0 for every other."""
    family = GaugeMetricFamily(f"fedmol_{name}", about, labels=[label])
    for value in known:
        family.add_metric([value], float(value == current))
    return family


def _run_state(run: Run, now: float) -> Metric:
    current, _ = run_state(run, now)
    return _one_of("run_state", "1 for the state that the run is in.", "state", RUN_STATES, current)


def _run(run: Run, now: float) -> Iterator[Metric]:
    yield _run_state(run, now)
    ended_with = run.stopped_with if run.stopped_with in EXITS else run.stopped_with and "other"
    yield _one_of("run_stopped", "1 for the exit that a stopped run ended with.", "code", EXITS, ended_with)
    finished = run.finished_rounds
    last = next((round for round in reversed(finished) if round.loss is not None), None)
    yield from _gauge("round", "The round that is going on, counted from 1; 0 before the first.", run.round)
    yield from _gauge("rounds_target", "Rounds that the run shall have.", run.rounds_target)
    yield from _gauge("rounds_finished", "Rounds that are over.", run.rounds_finished)
    yield from _gauge("settings_changes", "Changes of the run by the coordinator.", run.changes)
    yield from _gauge(
        "log_anchored_round", "The last round of which a site keeps an anchor of the aggregator's log.", run.anchored
    )
    yield from _gauge("quorum_sites", "Sites without which no round ends.", run.quorum)
    yield from _gauge("model_bytes", "Size of the model that travels.", run.model_bytes)
    yield from _gauge(
        "loss", "Training loss of the last finished round, weighted over sites.", last.loss if last else None
    )
    yield from _gauge(
        "nll", "Validation NLL of the model that entered it, nats per molecule.", last.nll if last else None
    )
    yield from _gauge(
        "last_progress_timestamp_seconds", "When training last moved on: a step, an update, a start.", run.progressed
    )
    yield _durations(run.past, [round.seconds for round in finished if round.seconds is not None])
    refused = CounterMetricFamily("fedmol_rpc_errors", "Calls of peers that were refused.", labels=["code"])
    for code in REFUSALS:
        refused.add_metric([code], run.refusals.get(code, 0))
    yield refused


def _durations(past: Past, seconds: list[float]) -> Metric:
    ordered, before = sorted(seconds), list(accumulate(past.by_seconds))
    buckets = [
        (f"{float(edge)}", float(before[k] + bisect_right(ordered, edge))) for k, edge in enumerate(ROUND_SECONDS)
    ]
    return HistogramMetricFamily(
        "fedmol_round_duration_seconds",
        "How long finished rounds took.",
        buckets=[*buckets, ("+Inf", float(before[-1] + len(seconds)))],
        sum_value=past.seconds + sum(seconds),
    )


def _sites(run: Run, now: float) -> Iterator[Metric]:
    sites = [run.sites[name] for name in sorted(run.sites)]
    states = GaugeMetricFamily("fedmol_site_state", "1 for the state that the site is in.", labels=["site", "state"])
    updates = CounterMetricFamily("fedmol_updates", "Updates that reached the aggregator.", labels=["site", "outcome"])
    moved = CounterMetricFamily("fedmol_bytes", "Model bytes that a site moved.", labels=["site", "direction"])
    steps = CounterMetricFamily("fedmol_train_steps", "Gradient steps taken.", labels=["site"])
    delivered = GaugeMetricFamily("fedmol_model_delivered", "1 once the site holds the final model.", labels=["site"])
    for site in sites:
        current, _ = site_state(site, run, now)
        for state in SITE_STATES:
            states.add_metric([site.name, state], float(state == current))
        moved.add_metric([site.name, "sent"], site.sent_bytes)
        if run.role == "site":  # the aggregator's log does not tell what it handed out
            moved.add_metric([site.name, "received"], site.received_bytes)
        else:  # a site's log does not tell what became of its updates
            for outcome in OUTCOMES:
                updates.add_metric([site.name, outcome], site.updates[outcome])
            delivered.add_metric([site.name], float(site.has_model))
        steps.add_metric([site.name], site.steps_total)
    yield from (states, updates, moved, steps, delivered)
    yield from _per_site(sites)


_SITE_GAUGES = (
    ("site_last_seen_timestamp_seconds", "When the site last gave a sign of life.", "seen"),
    ("site_molecules", "Molecules that the site trains on.", "molecules"),
    ("train_loss", "Loss of the newest gradient step that was told.", "loss"),
    ("train_molecules_per_second", "Speed of training when it was last told.", "molecules_per_second"),
    ("validation_nll", "NLL of the last round's entering model on the site's validation molecules.", "nll"),
    ("update_norm", "Norm of the site's last update.", "norm"),
)


def _per_site(sites: Iterable[Site]) -> Iterator[Metric]:
    sites = list(sites)
    for name, about, attribute in _SITE_GAUGES:
        family = GaugeMetricFamily(f"fedmol_{name}", about, labels=["site"])
        for site in sites:
            value = getattr(site, attribute)
            if value is not None:
                family.add_metric([site.name], value)
        yield family


def _samples(watch: Watch) -> Iterator[Metric]:
    found = watch.molecules
    hits = None if found.novelty is None else 1 - found.novelty
    yield from _gauge("sample_validity_ratio", "Share of the newest samples that is valid.", found.validity)
    yield from _gauge(
        "sample_uniqueness_ratio", "Share of the relaxed-valid samples that is distinct.", found.uniqueness
    )
    yield from _gauge("sample_train_hits_ratio", "Share of the distinct samples that was trained on.", hits)


def _log(watch: Watch) -> Iterator[Metric]:
    log = watch.log_view()
    yield CounterMetricFamily("fedmol_log_events", "Events in the log.", value=log.events)
    yield CounterMetricFamily("fedmol_log_unreadable_lines", "Lines that are not events.", value=log.unreadable_lines)
    yield from _gauge("log_intact", "1 while every line carries the hash of the one before.", float(log.intact))
    yield from _gauge("log_readable", "1 while the log can be read.", float(log.problem is None))
    yield from _gauge("last_event_timestamp_seconds", "When the newest event was written.", log.last_event)
    try:
        disk = shutil.disk_usage(watch.reader.path.parent)
    except OSError:
        return
    yield from _gauge("disk_free_bytes", "Free on the disk that holds the log.", disk.free)
    yield from _gauge("disk_size_bytes", "Size of the disk that holds the log.", disk.total)


def _certificates(watch: Watch) -> Iterator[Metric]:
    family = GaugeMetricFamily(
        "fedmol_certificate_expiry_timestamp_seconds", "When the certificate expires.", labels=["certificate"]
    )
    for certificate in watch.certificates():
        if certificate.expires is not None:
            family.add_metric([certificate.name], certificate.expires)
    yield family
