"""fedmol-sidecar: show one run, as its event log tells it."""

from __future__ import annotations

import gc
import ipaddress
import json
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

import click

from fedmol.cli.ending import call, log_to_stderr
from fedmol.errors import Exit, FedmolError

_FOLDER = click.Path(path_type=Path, file_okay=False)
_GRACE = 5  # seconds for what is being answered when the service is stopped


def _interface(context: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        from fedmol.sidecar.app import create_app
        from fedmol.sidecar.watch import Watch

        click.echo(json.dumps(create_app(Watch(Path())).openapi(), indent=1))
        context.exit()


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--log", "folder", type=_FOLDER, required=True, help="folder of an aggregator, a site, or a played run")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="address to listen on; nobody has to log in")
@click.option(
    "--openapi", is_flag=True, is_eager=True, expose_value=False, callback=_interface, help="Print the HTTP interface."
)
@click.option("--certs", type=_FOLDER, help="folder with ca.crt and party.crt, to show how long they are good for")
def command(folder: Path, port: int, host: str, certs: Path | None) -> None:
    """Show one run as its event log tells it: page, JSON, metrics.

    It only reads, and waits for a log that is not there.
    """
    log_to_stderr()
    listening = _listen(host, port)
    serve(folder, certs, listening, loopback_only=_loopback(host))


def serve(folder: Path, certs: Path | None, listening: socket.socket, *, loopback_only: bool) -> None:
    """Until SIGTERM or SIGINT; returns then."""
    import uvicorn  # after the arguments

    from fedmol.sidecar.app import create_app
    from fedmol.sidecar.watch import Watch

    watch = Watch(folder, certs)

    class Server(uvicorn.Server):
        """Lets the event streams, which would never end by themselves, go when it is asked to stop."""

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            watch.close()
            super().handle_exit(sig, frame)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # the server raises the signal again once it has stopped
    host, port = listening.getsockname()[:2]
    click.echo(f"showing {folder} on http://{f'[{host}]' if ':' in host else host}:{port}/", err=True)
    app = create_app(watch, loopback_only=loopback_only)
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=_GRACE, server_header=False)
    gc.freeze()  # what is loaded stays: looking through it again would cost a request now and then 50 ms
    Server(config).run([listening])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise FedmolError(
            Exit.ADDRESS_IN_USE,
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            "stop the program that uses the port, or name another with --port",
        ) from None


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def main() -> None:
    sys.exit(call(command, sys.argv[1:], "fedmol-sidecar"))


if __name__ == "__main__":
    main()
