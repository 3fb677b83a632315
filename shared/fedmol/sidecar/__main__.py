"""fedmol-sidecar: show one run, as its event log tells it."""

from __future__ import annotations

import gc
import ipaddress
import re
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedmol.errors import Exit, FedmolError
from fedmol.extras import require
from fedmol.runtime import call, log_to_stderr

if TYPE_CHECKING:
    from fedmol.sidecar.log_watch import Watch

_NAME = "fedmol-sidecar"
_FOLDER = click.Path(path_type=Path, file_okay=False)
_GRACE = 5  # seconds for what is being answered when the service is stopped


def _interface(context: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        require("sidecar", _NAME)
        from fedmol.sidecar.app import interface

        click.echo(interface(), nl=False)
        context.exit()


def _hosts(_: click.Context, __: click.Parameter, names: tuple[str, ...]) -> list[str]:
    """As they stand in a request, where an IPv6 address has brackets."""
    for name in names:
        if not re.fullmatch(r"[\w.-]+|\[?[0-9a-fA-F]*:[0-9a-fA-F:.]*\]?", name):
            raise click.BadParameter(f"{name!r} is not a host name or an address; leave scheme and port out")
    return [f"[{name.strip('[]')}]" if ":" in name else name for name in names]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--log",
    "folder",
    type=_FOLDER,
    required=True,
    help="folder of an aggregator, of a site, or of a run made by fedmol run",
)
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="address to listen on; there is no login")
@click.option(
    "--openapi",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_interface,
    help="print the HTTP interface (OpenAPI) and exit",
)
@click.option("--certs", type=_FOLDER, help="folder with ca.crt and party.crt, to show when they expire")
@click.option("--results", type=_FOLDER, help="folder with molecules and report  [default: that of --log]")
@click.option(
    "--answer-to",
    "names",
    multiple=True,
    metavar="HOST",
    callback=_hosts,
    help="host name to answer to, besides loopback names; repeatable  [default: any, unless on loopback]",
)
def command(folder: Path, port: int, host: str, certs: Path | None, results: Path | None, names: list[str]) -> None:
    """Show one run from its event log: as a page, as JSON, and as metrics for Prometheus.

    It only reads, and waits if there is no log yet.
    """
    require("sidecar", _NAME)
    log_to_stderr()
    listening = _listen(host, port)
    from fedmol.sidecar.app import LOOPBACK  # after the arguments
    from fedmol.sidecar.log_watch import Watch

    serve(Watch(folder, certs, results), listening, (*LOOPBACK, *names) if names or _loopback(host) else None)


def serve(watch: Watch, listening: socket.socket, answer_to: Sequence[str] | None) -> None:
    """Until SIGTERM or SIGINT; returns then."""
    import uvicorn

    from fedmol.sidecar.app import create_app

    class Server(uvicorn.Server):
        """Lets the event streams, which would never end by themselves, go when it is asked to stop."""

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            watch.close()
            await super().shutdown(sockets)

        def stop(self, *_: object) -> None:
            self.should_exit = True

    app = create_app(watch, answer_to=answer_to)
    server = Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=_GRACE, server_header=False))
    for number in (signal.SIGTERM, signal.SIGINT):  # until the server listens to them itself, and when it has stopped
        signal.signal(number, server.stop)
    click.echo(f"showing {watch.folder} on {_address(*listening.getsockname()[:2])}", err=True)
    gc.freeze()  # what is loaded stays: looking through it again would cost a request now and then 50 ms
    server.run([listening])


def _address(host: str, port: int) -> str:
    """What to open in a browser: 0.0.0.0 and :: stand for every address of this machine, and are none themselves."""
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        return f"{_address('127.0.0.1' if address.version == 4 else '::1', port)} and this machine's other addresses"
    return f"http://{f'[{host}]' if address.version == 6 else host}:{port}/"


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise FedmolError(
            Exit.ADDRESS_IN_USE,
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            "stop the program that uses the port, or name another with --port",
        ) from None
    # Connections inherit it. Without, the end of a small answer waits 40 ms for the client's word that its head came.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def main() -> None:
    sys.exit(call(command, sys.argv[1:], _NAME))


if __name__ == "__main__":
    main()
