"""fedmol-collaborator: take part in one run with this site's private shard."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from pathlib import Path

import click

from fedmol.errors import FedmolError
from fedmol.files import refusing_exchanged
from fedmol.fl.federation import load, require_address
from fedmol.folder_owner import Owner, claim
from fedmol.heartbeat import Heart
from fedmol.pki.certificates import CertificateFiles
from fedmol.run_folder import RunFolder
from fedmol.runtime import RUN_ID, call, log_to_stderr
from fedmol.telemetry.events.run_events import RunFinished, RunStopped
from fedmol.telemetry.log import EventLog
from fedmol_collaborator.run_end import run_end_of
from fedmol_collaborator.watchdog import Watchdog

log = logging.getLogger("fedmol.site")

_FILE, _FOLDER = click.Path(path_type=Path), click.Path(path_type=Path, file_okay=False)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--settings", "path", type=_FILE, required=True, help="federation.yaml")
@click.option("--run", type=RUN_ID, required=True, help="id of the run, from the coordinator")
@click.option("--site", required=True, help="this site's name in federation.yaml")
@click.option("--certs", type=_FOLDER, required=True, help="folder with ca.crt, party.crt and party.key")
@click.option("--shard", type=_FILE, required=True, help="this site's file of molecules (see docs/molecules.md)")
@click.option("--work", type=_FOLDER, required=True, help="working folder of this site, for this run")
@click.option(
    "--new-shard",
    is_flag=True,
    help="use other molecules than the run started with, once the coordinator has accepted them",
)
@click.option("--start-over", is_flag=True, help="continue although the state of earlier rounds is lost")
@click.option(
    "--stay", is_flag=True, help="keep running after the run, for a supervisor that would restart the program"
)
def command(
    path: Path,
    run: str,
    site: str,
    certs: Path,
    shard: Path,
    work: Path,
    new_shard: bool,
    start_over: bool,
    stay: bool,
) -> None:
    """Take part in one run of a federation with this site's own molecules."""
    log_to_stderr()
    settings = load(path)
    require_address(settings, path)
    folder = RunFolder(work)
    with refusing_exchanged():
        claim(work, Owner(run, "site", site))
        events = EventLog(folder.log, run=run, site=site)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    watch = Watchdog(Heart(work), events, settings.network.call_deadline)
    watch.start()
    with refusing_exchanged():  # the log may be what was exchanged
        if not run_end_of(folder, run).over:
            from fedmol_collaborator.participation import Place, take_part  # only now: OpenFL takes seconds to import

            try:
                with refusing_exchanged():
                    files = CertificateFiles.in_folder(certs)
                    place = Place(settings, run, site, files, shard, folder, new_shard, start_over)
                    digest = take_part(place, events, watch, stop)
            except FedmolError as error:
                events.write(RunStopped(reason=error.exit.slug, detail=error.message))
                raise
            events.write(RunFinished(model_digest=digest))
    log.info("run %s is finished: its model is %s", run, folder.model)
    watch.rest()
    if stay:
        stop.wait()


def main() -> None:
    os.umask(0o077)  # what the group may read is let in file by file
    sys.exit(call(command, sys.argv[1:], "fedmol-collaborator"))


if __name__ == "__main__":
    main()
