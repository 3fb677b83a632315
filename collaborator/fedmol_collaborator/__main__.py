"""fedmol-collaborator: take part in one run with this site's private shard."""

from __future__ import annotations

import signal
import sys
import threading
import time
from pathlib import Path

import click
import torch

from fedmol import files
from fedmol.cli.ending import call, log_to_stderr
from fedmol.data.shards import Shard, open_shard
from fedmol.diffusion.census import Census, NoiseModel
from fedmol.errors import Exit, FedmolError
from fedmol.events import EventLog
from fedmol.federation.assembly import denoiser_of, training_config, vocabulary_of
from fedmol.federation.certificates import CertificateFiles
from fedmol.federation.identity import model_code_digest, peer_name, shared_settings
from fedmol.federation.messages import Agreement, Joining, Progress
from fedmol.federation.settings import Settings, load
from fedmol.training.flat import manifest
from fedmol.training.loop import build_optimizer, train
from fedmol_collaborator.openfl_adapter import federation
from fedmol_collaborator.openfl_adapter.client import FederationClient
from fedmol_collaborator.pulse import Pulse
from fedmol_collaborator.site_store import SiteStore
from fedmol_collaborator.site_training import SiteTraining

_WAIT = 0.5  # seconds between two questions whether everyone is here
_TRIAL_STEPS = 6  # steps to measure the speed by, the first two left out


def take_part(
    settings: Settings,
    run: str,
    site: str,
    certificates: CertificateFiles,
    shard_path: Path,
    work: Path,
    events: EventLog,
) -> None:
    """Train with the federation until the run is over; resumes whatever `work` holds."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    torch.set_num_threads(settings.training.threads)
    pulse = Pulse(events, Progress(run=run, peer=peer_name(site), round=None, phase="connecting"), lambda _: None)
    pulse.phase("connecting")
    client = federation.connect(settings, run, site, certificates, stop)
    introduction = introduce(settings, run, site)
    client.join(introduction)
    pulse.send = client.report
    pulse.start()
    try:
        training = prepare(settings, site, client, introduction, shard_path, work, pulse, stop)
        federation.take_part(settings, run, site, client, training)
    except FedmolError as error:
        # A site that was asked to stop will be back; one that failed is not worth waiting for.
        pulse.phase("stopped" if error.exit is Exit.TERMINATED else "failed")
        raise
    else:
        pulse.phase("finished")
    finally:
        pulse.stop()


def introduce(settings: Settings, run: str, site: str) -> Joining:
    """Who the site is and what it would train, before it opens its shard."""
    return Joining(
        run=run,
        site=site,
        peer=peer_name(site),
        model_code=model_code_digest(),
        vocabulary=vocabulary_of(settings).digest(),
        manifest=manifest(denoiser_of(settings)).digest,
        settings=shared_settings(settings),
    )


def prepare(
    settings: Settings,
    site: str,
    client: FederationClient,
    introduction: Joining,
    shard_path: Path,
    work: Path,
    pulse: Pulse,
    stop: threading.Event,
) -> SiteTraining:
    """Open the shard, bring its counts to the federation's sum, and get ready to train."""
    vocabulary, denoiser = vocabulary_of(settings), denoiser_of(settings)
    pulse.phase("reading shard")
    shard = open_shard(shard_path, settings.data.column, vocabulary, settings.data.validation_share, work / "cache")
    files.write_text(work / "card.json", shard.card.to_json())
    census = Census.take(shard.training, len(vocabulary.atoms), len(vocabulary.bonds), vocabulary.max_atoms)
    seconds = seconds_per_step(settings, shard, census) if settings.training.budget_minutes is not None else None
    pulse.phase("waiting for the others")
    counts = {"molecules": len(shard.training), "census": census.to_json(), "seconds_per_step": seconds}
    agreement = wait_for_agreement(client, introduction.model_copy(update=counts), stop)
    noise = NoiseModel.from_census(Census.from_json(agreement.census))
    store = SiteStore(work / "state")
    return SiteTraining(settings, site, shard, denoiser, noise, agreement.local_steps, store, pulse, stop)


def wait_for_agreement(client: FederationClient, joining: Joining, stop: threading.Event) -> Agreement:
    while True:
        welcome = client.join(joining)
        if welcome.agreement is not None:
            return welcome.agreement
        stop.wait(_WAIT)


def seconds_per_step(settings: Settings, shard: Shard, census: Census) -> float:
    """How long one gradient step takes here, measured on a denoiser that is thrown away."""
    denoiser, config = denoiser_of(settings), training_config(settings)
    times: list[float] = []
    train(
        denoiser,
        build_optimizer(denoiser, config),
        NoiseModel.from_census(census),
        shard.training,
        first_step=0,
        steps=_TRIAL_STEPS,
        total_steps=_TRIAL_STEPS,
        config=config,
        generator=torch.Generator().manual_seed(settings.seed),
        on_step=lambda _: times.append(time.monotonic()),
    )
    return (times[-1] - times[1]) / (len(times) - 2)


@click.command()
@click.option("--settings", "settings_path", type=click.Path(path_type=Path), required=True, help="federation.yaml")
@click.option("--run", required=True, help="the run's id, as the coordinator gave it")
@click.option("--site", required=True, help="this site's name in federation.yaml")
@click.option(
    "--certs", type=click.Path(path_type=Path), required=True, help="folder with ca.crt, party.crt, party.key"
)
@click.option("--shard", "shard_path", type=click.Path(path_type=Path), required=True, help="CSV or SMILES file")
@click.option("--work", type=click.Path(path_type=Path), required=True, help="folder for this site's state")
def command(settings_path: Path, run: str, site: str, certs: Path, shard_path: Path, work: Path) -> None:
    """Take part in one run of a federation with this site's private shard."""
    log_to_stderr()
    settings = load(settings_path)
    events = EventLog(work / "events.jsonl", run=run, site=site)
    try:
        take_part(settings, run, site, CertificateFiles.in_folder(certs), shard_path, work, events)
        events.write("run_finished")
    except FedmolError as error:
        events.write("run_stopped", reason=error.exit.slug, detail=error.message)
        raise


def main() -> None:
    sys.exit(call(command, sys.argv[1:], "fedmol-collaborator"))


if __name__ == "__main__":
    main()
