"""OpenFL's collaborator, built from the settings in memory and run to the end of the federation."""

from __future__ import annotations

import threading

import openfl.component  # noqa: F401 - the plan would import it in round 1, while the others wait
from openfl.federated import Plan

from fedmol.fl.federation import Settings
from fedmol.fl.identity import aggregator_name, peer_name
from fedmol.fl.payload import Payload
from fedmol.pki.certificates import CertificateFiles
from fedmol.settings import NetworkSettings
from fedmol_collaborator.openfl_adapter.client import FederationClient, StaleRound
from fedmol_collaborator.openfl_adapter.plan import render
from fedmol_collaborator.openfl_adapter.task_runner import SiteTaskRunner
from fedmol_collaborator.outbound_log import OutboundLog
from fedmol_collaborator.site_training import SiteTraining
from fedmol_collaborator.task_checks import broken
from fedmol_collaborator.watchdog import Watchdog

_BETWEEN_STALE_ROUNDS = 0.2  # seconds
_MOST_STALE_ROUNDS = 50  # in which nothing was taken


def connect(
    network: NetworkSettings,
    run: str,
    site: str,
    certificates: CertificateFiles,
    payload: Payload,
    outbound_log: OutboundLog,
    watch: Watchdog,
    stop: threading.Event,
) -> FederationClient:
    """The site's line to the aggregator, once the aggregator is there and takes the site's certificate."""
    client = FederationClient(
        network,
        certificates,
        site,
        payload,
        outbound_log,
        watch,
        stop,
        aggregator_uuid=aggregator_name(run),
        federation_uuid=run,
        collaborator_name=peer_name(site),
    )
    client.connect()
    return client


def take_part(settings: Settings, run: str, site: str, client: FederationClient, training: SiteTraining) -> None:
    """Do the aggregator's tasks until it says that the run is over."""
    plan = Plan()
    plan.name, plan.config = "fedmol", render(settings)
    plan.verify()
    plan.resolve()
    plan.federation_uuid, plan.aggregator_uuid = run, aggregator_name(run)
    plan.config["collaborator"]["settings"]["callbacks"] = []
    collaborator = plan.get_collaborator(peer_name(site), task_runner=SiteTaskRunner(training), client=client)
    sent, stale = 0, 0
    while True:
        try:
            collaborator.run()
            return
        except StaleRound as error:
            stale = stale + 1 if client.task_checks.sent == sent else 1
            sent = client.task_checks.sent
            if stale > _MOST_STALE_ROUNDS:
                raise broken(f"one round after another without work in any ({error})", "work in the open one") from None
            training.reporter.phase("catching up")
            training.stop.wait(_BETWEEN_STALE_ROUNDS)
