"""The way to the aggregator: straight, or through the HTTP proxy that this machine's environment names.

gRPC, the handshake before it, and the doctor go the same way. TLS passes through the proxy untouched (CONNECT).
"""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from fedmol.errors import Exit, FedmolError

_VARIABLES = "grpc", "https", "http"  # whose `_proxy` counts, in the order in which gRPC looks for it
_CODE = re.compile(r"Tunnel connection failed: (\d{3})")  # http.client's words for what a proxy answers
_WHO_IS_THERE = 407  # it asks for a user and a password
_LATER = 408, 425, 429  # of the codes from 400 on, those with which it does not refuse for good
_NAMES = "localhost", "localhost.localdomain", "ip6-localhost"


@dataclass(frozen=True)
class Proxy:
    variable: str
    url: SplitResult

    @property
    def shown(self) -> str:
        """Without the password that may be in it."""
        return f"{self.url.hostname}:{self.url.port or 80} ({self.variable})"


def proxy_to(host: str) -> Proxy | None:
    """The proxy for `host`, None if it is reached straight: it is this machine, or `no_proxy` names it.

    Raises:
        FedmolError: AGGREGATOR_UNREACHABLE if what is set is no address of a proxy.
    """
    proxies = getproxies_environment()
    scheme = next((name for name in _VARIABLES if proxies.get(name)), None)
    if scheme is None or _is_here(host) or proxy_bypass(host):
        return None
    text = proxies[scheme]
    url = urlsplit(text if "://" in text else f"http://{text}")
    try:
        usable = url.scheme == "http" and bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise FedmolError(
            Exit.AGGREGATOR_UNREACHABLE,
            f"{scheme}_proxy is not the address of an HTTP proxy",
            f"set it to http://host:port, or name {host} in no_proxy",
        )
    return Proxy(f"{scheme}_proxy", url)


def through(host: str) -> str:
    """To be added to what is said of a failure."""
    proxy = proxy_to(host)
    return f" through the proxy {proxy.shown}" if proxy else ""


def connect(host: str, port: int, patience: float) -> socket.socket:
    """A TCP connection to the aggregator, on which TLS can begin.

    Raises:
        OSError: it cannot be had now.
        FedmolError: AGGREGATOR_UNREACHABLE when the proxy will not connect to it.
    """
    proxy = proxy_to(host)
    if proxy is None:
        return socket.create_connection((host, port), timeout=patience)
    line = http.client.HTTPConnection(str(proxy.url.hostname), proxy.url.port or 80, timeout=patience)
    line.set_tunnel(host, port, _credentials(proxy.url))
    try:
        line.connect()
    except ConnectionRefusedError:
        raise ConnectionError(f"the proxy {proxy.shown} does not answer") from None
    except OSError as error:
        answered = _CODE.match(str(error))
        code = int(answered[1]) if answered else 0
        if code == _WHO_IS_THERE:
            raise FedmolError(
                Exit.AGGREGATOR_UNREACHABLE,
                f"the proxy {proxy.shown} asks for {'another' if proxy.url.username else 'a'} user and password",
                f"write them into {proxy.variable}, as http://user:password@host:port",
            ) from None
        if 400 <= code < 500 and code not in _LATER:
            raise FedmolError(
                Exit.AGGREGATOR_UNREACHABLE,
                f"the proxy {proxy.shown} does not let this site connect to {host}, port {port}: {error}",
                f"have it allow CONNECT to {host}:{port}, or name {host} in no_proxy if it is reached without a proxy",
            ) from None
        raise
    except http.client.HTTPException as error:
        raise ConnectionError(f"what {proxy.variable} names is no HTTP proxy: {error!r}") from None
    return line.sock


def channel_options(host: str) -> list[tuple[str, str | int]]:
    """What makes gRPC go the same way, whatever it would make of the environment by itself."""
    proxy = proxy_to(host)
    if proxy is None:
        return [("grpc.enable_http_proxy", 0)]
    return [("grpc.http_proxy", proxy.url.geturl())]


def _credentials(url: SplitResult) -> dict[str, str]:
    if url.username is None:
        return {}
    said = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(said.encode()).decode()}"}


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") in _NAMES or host.lower().rstrip(".").endswith(".localhost")
