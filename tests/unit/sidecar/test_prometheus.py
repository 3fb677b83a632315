from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from fedmol.pki import certificates
from fedmol.sidecar.app import create_app
from fedmol.sidecar.log_watch import Watch
from fedmol.telemetry.events.round_events import LogAnchored, ModelValidated
from fedmol.telemetry.events.run_events import RunStopped
from fedmol.telemetry.events.site_events import SiteRefused
from fedmol.telemetry.log import EventLog
from tests.support.story import Story, evaluation, watching

BOUNDED = {"site", "state", "direction", "outcome", "code", "certificate", "version", "le"}


class Scrape:
    def __init__(self, watch: Watch) -> None:
        answer = TestClient(create_app(watch)).get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        self.families = {family.name: family for family in text_string_to_metric_families(answer.text)}
        self.samples = [sample for family in self.families.values() for sample in family.samples]

    def value(self, name: str, **labels: str) -> float | None:
        found = [sample.value for sample in self.samples if sample.name == name and sample.labels == labels]
        return found[0] if found else None


def test_the_federation_is_told_in_base_units(story: Story) -> None:
    story.start().gather().play(1).play(2)
    scrape = Scrape(watching(story.folder))
    assert scrape.value("fedmol_round") == 2
    assert scrape.value("fedmol_rounds_target") == 3
    assert scrape.value("fedmol_round_duration_seconds_sum") == 4
    assert scrape.value("fedmol_round_duration_seconds_bucket", le="1.0") == 0
    assert scrape.value("fedmol_round_duration_seconds_bucket", le="2.0") == 2
    assert scrape.value("fedmol_site_state", site="north", state="waiting") == 1
    assert scrape.value("fedmol_site_state", site="north", state="lost") == 0
    assert scrape.value("fedmol_train_steps_total", site="south") == 8
    assert scrape.value("fedmol_train_loss", site="south") == 2.5
    assert scrape.value("fedmol_update_norm", site="south") == 1.5
    assert scrape.value("fedmol_bytes_total", site="south", direction="sent") == 800
    assert scrape.value("fedmol_rpc_errors_total", code="certificate-name") == 0
    assert scrape.value("fedmol_updates_total", site="north", outcome="received") == 2
    assert scrape.value("fedmol_nll") == 72
    assert scrape.value("fedmol_run_state", state="running") == 1
    assert scrape.value("fedmol_log_intact") == 1


def test_names_and_labels_keep_to_the_rules(story: Story) -> None:
    story.start().gather().play(1)
    story.log.write(SiteRefused(reason="no such reason", detail="x"), site="mallory")
    scrape = Scrape(watching(story.folder))
    assert all(name.startswith("fedmol_") for name in scrape.families)
    assert {label for sample in scrape.samples for label in sample.labels} <= BOUNDED
    assert all(family.documentation for family in scrape.families.values())
    assert not any("trial" in value or "mallory" in value for one in scrape.samples for value in one.labels.values())
    for sample in scrape.samples:
        if sample.name.endswith("_total"):
            assert scrape.families[sample.name.removesuffix("_total")].type == "counter"


def test_a_late_site_is_late_here_too(story: Story) -> None:
    story.start().gather().train("north", 1)
    scrape = Scrape(watching(story.folder, later=14))
    assert scrape.value("fedmol_site_state", site="north", state="late") == 1
    assert scrape.value("fedmol_site_state", site="north", state="training") == 0


def test_a_site_tells_of_both_directions_and_of_its_own_validation(site_log: EventLog) -> None:
    scrape = Scrape(watching(site_log.path.parent))
    assert scrape.value("fedmol_bytes_total", site="north", direction="sent") == 400
    assert scrape.value("fedmol_bytes_total", site="north", direction="received") == 800
    assert scrape.value("fedmol_validation_nll", site="north") is None
    site_log.write(ModelValidated(nll=81.5), round=2)
    assert Scrape(watching(site_log.path.parent)).value("fedmol_validation_nll", site="north") == 81.5
    assert scrape.value("fedmol_updates_total", site="north", outcome="refused") is None
    assert scrape.value("fedmol_rounds_target") is None  # a site does not know it, and zero would be a lie


def test_a_site_tells_how_far_it_keeps_what_the_aggregator_signed_of_its_log(site_log: EventLog) -> None:
    assert Scrape(watching(site_log.path.parent)).value("fedmol_log_anchored_round") is None
    for round in (1, 2):
        digests = dict.fromkeys(("head", "model_digest"), "a" * 64)
        site_log.write(LogAnchored(log_seq=9 * round, **digests, certificate="PEM", signature="ab"), round=round)
    watch = watching(site_log.path.parent)
    assert Scrape(watch).value("fedmol_log_anchored_round") == 2
    client = TestClient(create_app(watch))
    assert client.get("/v1/status").json()["anchored_round"] == 2
    assert "signed of its own log up to round 2" in client.get("/").text


def test_a_scrape_before_the_first_event_says_that_there_is_no_log(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    watch.catch_up()
    scrape = Scrape(watch)
    assert scrape.value("fedmol_run_state", state="waiting-for-log") == 1
    assert scrape.value("fedmol_log_readable") == 0
    assert scrape.value("fedmol_last_event_timestamp_seconds") is None


def test_the_last_progress_is_not_told_before_somebody_is_expected_to_train(story: Story) -> None:
    story.start()
    assert Scrape(watching(story.folder)).value("fedmol_last_progress_timestamp_seconds") is None
    story.gather().train("north", 1)
    watch = watching(story.folder)
    assert Scrape(watch).value("fedmol_last_progress_timestamp_seconds") == watch.run.last_event


def test_a_stopped_run_tells_with_which_code_and_one_that_goes_on_with_none(story: Story) -> None:
    story.start().gather().play(1)
    story.log.write(RunStopped(reason="quorum-lost", detail="only 0 of 2 sites"))
    scrape = Scrape(watching(story.folder))
    assert scrape.value("fedmol_run_stopped", code="quorum-lost") == 1
    assert scrape.value("fedmol_run_stopped", code="terminated") == 0
    story.log.write(RunStopped(reason="of tomorrow", detail=""))
    assert Scrape(watching(story.folder)).value("fedmol_run_stopped", code="other") == 1
    story.start()
    scrape = Scrape(watching(story.folder))
    assert not any(sample.value for sample in scrape.families["fedmol_run_stopped"].samples)
    assert scrape.value("fedmol_last_progress_timestamp_seconds") is not None


def test_nothing_is_told_of_a_run_from_half_of_its_log(story: Story) -> None:
    story.start().gather()
    for step in range(2000):
        story.train("north", 1, step=step)
    watch = Watch(story.folder)
    assert watch.look()
    assert not watch.reader.caught_up
    scrape = Scrape(watch)
    assert not scrape.families.keys() & {"fedmol_run_state", "fedmol_round", "fedmol_train_steps", "fedmol_rpc_errors"}
    assert scrape.value("fedmol_log_readable") == 1
    watch.catch_up()
    assert Scrape(watch).value("fedmol_train_steps_total", site="north") == 1999


def test_certificates_and_samples_are_told_where_there_are_some(story: Story, tmp_path: Path) -> None:
    story.start()
    certificates.make_ca(tmp_path / "ca", "trial", timedelta(days=9))
    certificates.issue_site(tmp_path / "ca", tmp_path / "certs", "north", timedelta(days=3))
    (tmp_path / "certs" / "party.key").unlink()  # the sidecar needs no key
    (tmp_path / "evaluation.json").write_text(json.dumps(evaluation()))
    watch = Watch(tmp_path, tmp_path / "certs")
    watch.catch_up()
    scrape = Scrape(watch)
    party = scrape.value("fedmol_certificate_expiry_timestamp_seconds", certificate="party")
    assert party is not None
    assert 2.9 < (party - watch.clock()) / 86400 < 3.1
    assert scrape.value("fedmol_sample_validity_ratio") == 0.9
    assert scrape.value("fedmol_sample_train_hits_ratio") == 0.75
