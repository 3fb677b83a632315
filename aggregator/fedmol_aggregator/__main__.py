"""fedmol-aggregator: serve one run of a federation until it is done."""

from __future__ import annotations

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
from fedmol.names import AGGREGATOR
from fedmol.pki.certificates import CertificateFiles, check_files
from fedmol.run_folder import RunFolder
from fedmol.runtime import RUN_ID, call, log_to_stderr
from fedmol.telemetry.events.run_events import RunStopped
from fedmol.telemetry.log import EventLog
from fedmol_aggregator.malloc import keep_together
from fedmol_aggregator.tls_failures import watch_stderr

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--settings", "path", type=click.Path(path_type=Path), required=True, help="federation.yaml")
@click.option("--run", type=RUN_ID, required=True, help="id of the run, the same at every site")
@click.option("--certs", type=_FOLDER, required=True, help="folder with ca.crt, party.crt and party.key")
@click.option("--work", type=_FOLDER, required=True, help="working folder of this run")
@click.option(
    "--stay", is_flag=True, help="keep running after the run, for a supervisor that would restart the program"
)
def command(path: Path, run: str, certs: Path, work: Path, stay: bool) -> None:
    """Serve one run of a federation until it is over."""
    log_to_stderr()
    keep_together()  # before there are threads
    settings, certificates = load(path), CertificateFiles.in_folder(certs)
    require_address(settings, path)
    check_files(certificates, None)
    with refusing_exchanged():
        claim(work, Owner(run, "aggregator", AGGREGATOR))
        events = EventLog(RunFolder(work).log, run=run, site=AGGREGATOR)
    watch_stderr(events)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    from fedmol_aggregator import service  # OpenFL takes seconds to import: wrong arguments should not

    with refusing_exchanged():  # the log may be what was exchanged
        try:
            with refusing_exchanged():
                service.run(settings, run, certificates, RunFolder(work), events, stop, stay)
        except FedmolError as error:
            events.write(RunStopped(reason=error.exit.slug, detail=error.message))
            raise


def main() -> None:
    os.umask(0o077)  # what the group may read is let in file by file
    sys.exit(call(command, sys.argv[1:], "fedmol-aggregator"))


if __name__ == "__main__":
    main()
