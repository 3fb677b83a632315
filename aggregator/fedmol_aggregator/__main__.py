"""fedmol-aggregator: serve one run of a federation until it is done."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from pathlib import Path

import click

from fedmol.diffusion.census import Census
from fedmol.errors import Exit, FedmolError
from fedmol.events import EventLog
from fedmol.federation import algorithms
from fedmol.federation.assembly import denoiser_of, vocabulary_of
from fedmol.federation.certificates import CertificateFiles, check_files
from fedmol.federation.identity import digest, shared_settings
from fedmol.federation.settings import Settings, load
from fedmol.training.flat import flatten, manifest, unflatten_into
from fedmol.training.model_file import save_model
from fedmol_aggregator.book import RoundBook
from fedmol_aggregator.gate import Gate
from fedmol_aggregator.gathering import Gathering, Roster
from fedmol_aggregator.handshakes import watch_stderr
from fedmol_aggregator.presence import Presence
from fedmol_aggregator.rounds import RoundRule
from fedmol_aggregator.store import RoundStore

log = logging.getLogger("fedmol.aggregator")


def serve(settings: Settings, run: str, certificates: CertificateFiles, work: Path, events: EventLog, stop: threading.Event) -> None:
    """Run the federation to its end, or until `stop` is set; resumes whatever `work` holds."""
    from fedmol_aggregator.openfl_adapter import federation
    from fedmol_aggregator.openfl_adapter.server import FederationServer

    vocabulary, denoiser = vocabulary_of(settings), denoiser_of(settings)
    layout = manifest(denoiser)
    roster = Roster(settings, run, vocabulary, layout.digest)
    presence = Presence(settings.site_names, settings.rounds.lost_after, events)
    rule = RoundRule(settings.site_names, settings.quorum, settings.rounds.deadline, presence)
    store = RoundStore(work / "rounds", settings.rounds.keep_checkpoints)
    book = RoundBook(events, store, algorithms.get(settings.algorithm), rule, settings.rounds.max_update_norm_ratio)
    gathering = Gathering(settings, work / "agreement.json", events)
    initial = flatten(denoiser)
    _begin(events, settings, initial.nbytes, initial.size)
    (work / "openfl").mkdir(parents=True, exist_ok=True)
    aggregator = federation.build(settings, run, initial, book, roster.site_of, work / "openfl")
    gate = Gate(roster, gathering, presence, rule, events)
    address = f"{settings.network.listen}:{settings.network.port}"
    if not aggregator.finished:
        book.begin(aggregator.round_number + 1)
        log.info("run %s: serving %s, round %d of %d", run, address, aggregator.round_number + 1, settings.training.rounds)
        FederationServer(aggregator, gate, address, certificates).serve(stop)
    if not aggregator.finished:
        raise FedmolError(
            Exit.TERMINATED,
            f"the aggregator was asked to stop in round {aggregator.round_number + 1}",
            "start it again with the same arguments: the run goes on where it was",
        )
    last, _, record = store.load(settings.training.rounds)
    unflatten_into(denoiser, last, layout)
    assert gathering.agreement is not None
    save_model(
        work / "model.safetensors",
        denoiser,
        preset=settings.model.preset,
        vocabulary_name=vocabulary.name,
        census=Census.from_json(gathering.agreement.census),
        meta={"run": run, "rounds": settings.training.rounds, "digest": record["digest"]},
    )
    absent = sorted({site for site in settings.site_names if site not in record["sites"]})
    events.write(
        "run_finished",
        outcome="quorum" if absent else "complete",
        missing=absent,
        rounds=settings.training.rounds,
        model_digest=record["digest"],
    )


def _begin(events: EventLog, settings: Settings, model_bytes: int, parameters: int) -> None:
    events.write(
        "run_started",
        settings_digest=digest(shared_settings(settings)),
        sites=settings.site_names,
        quorum=settings.quorum,
        rounds=settings.training.rounds,
        parameters=parameters,
        model_bytes=model_bytes,
    )


@click.command()
@click.option("--settings", "settings_path", type=click.Path(path_type=Path), required=True, help="federation.yaml")
@click.option("--run", required=True, help="the run's id, the same at every site")
@click.option("--certs", type=click.Path(path_type=Path), required=True, help="folder with ca.crt, party.crt, party.key")
@click.option("--work", type=click.Path(path_type=Path), required=True, help="folder for this run's state")
def command(settings_path: Path, run: str, certs: Path, work: Path) -> None:
    """Serve one run of a federation until it is done."""
    settings = load(settings_path)
    certificates = CertificateFiles.in_folder(certs)
    check_files(certificates, None)
    events = EventLog(work / "events.jsonl", run=run, site="aggregator")
    watch_stderr(events)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        serve(settings, run, certificates, work, events, stop)
    except FedmolError as error:
        events.write("run_stopped", reason=error.exit.slug, detail=error.message)
        raise


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("openfl").setLevel(logging.WARNING)
    try:
        command(standalone_mode=False)
    except FedmolError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(error.exit)
    except click.ClickException as error:
        error.show()
        sys.exit(Exit.USAGE)


if __name__ == "__main__":
    main()
