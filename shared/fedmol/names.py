"""How sites, runs and hosts may be called: names become those of files, certificates, containers and metrics."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from fedmol.errors import Exit, FedmolError

AGGREGATOR = "aggregator"  # stands for the coordinator's program wherever a site's name could stand
_SITE = r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?"
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def _not_reserved(name: str) -> str:
    if name == AGGREGATOR:
        raise PydanticCustomError("reserved", "a site cannot be called {name}", {"name": AGGREGATOR})
    return name


SiteName = Annotated[str, Field(pattern=f"^{_SITE}$"), AfterValidator(_not_reserved)]


def check_site(name: str) -> None:
    """Raises FedmolError USAGE when no site can be called so."""
    if not re.fullmatch(_SITE, name) or name == AGGREGATOR:
        raise FedmolError(
            Exit.USAGE,
            f"{name[:80]!r} is not a site's name",
            f"use lower-case letters, digits and inner hyphens, 40 characters at most, and not {AGGREGATOR!r}, such as "
            f"{site_like(name)}",
        )


def site_like(text: str) -> str:
    """A name that a site can have, as near to `text` as may be."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower())[:40].strip("-")
    return name if name and name != AGGREGATOR else "site-1"


def is_run(name: str) -> bool:
    """Whether a run can be called so."""
    return _RUN.fullmatch(name) is not None


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
