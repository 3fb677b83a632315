"""How the aggregator's place is written: a name or an IP address, and a port beside it."""

from __future__ import annotations

import re

NO_HOST = "not a host's name or IP address: write it without scheme, port and path, such as"


def host_like(text: str) -> str:
    """The host that an address such as a URL names."""
    host = re.sub(r"^[a-z+]+://", "", text.strip().lower()).partition("/")[0]
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    return re.sub(r"[^a-z0-9_.:-]", "", host)[:253] or "localhost"


def endpoint(host: str, port: int) -> str:
    """Host and port as gRPC takes them: an IPv6 address stands in brackets."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"
