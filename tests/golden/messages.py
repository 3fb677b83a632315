"""One message of every kind, both ways, and those that an earlier version has sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fedmol.errors import Exit, FedmolError
from fedmol.fl.federation import parse
from fedmol.fl.identity import peer_name, shared_settings
from fedmol.fl.messages import (
    Agreement,
    CensusCounts,
    Counts,
    Joining,
    LogAnchor,
    Message,
    OpeningRequest,
    Probe,
    Progress,
    RoundOpening,
    SignedChange,
    Standing,
    Welcome,
)
from fedmol.fl.refusals import encode_error
from fedmol.fl.run_manifest import manifest_of
from fedmol.fl.versions import PROTOCOL, SEMANTICS, written

RECORDED = Path(__file__).with_name("messages")
KINDS: dict[str, type[Message]] = {
    kind.__name__: kind for kind in (Joining, Progress, Probe, OpeningRequest, Welcome, Standing, RoundOpening)
}
FROM_SITES = ("Joining", "Progress", "Probe", "OpeningRequest")
REFUSAL = "refusal"  # the name under which an error is recorded as it stands in a gRPC status


def recorded(version: str) -> dict[str, bytes]:
    """The messages of a version by their names, such as `Joining-with-counts`."""
    return {path.stem: path.read_bytes() for path in sorted((RECORDED / version).glob("*.json"))}


def kind_of(name: str) -> str:
    return name.partition("-")[0]


def sender_of(name: str) -> str:
    return "the site" if kind_of(name) in FROM_SITES else "the aggregator"


def examples() -> dict[str, dict[str, Any]]:
    """The messages of this version; each field that a kind has is in one of them."""
    census = CensusCounts(atoms=(18, 0, 2, 0, 0, 0, 0, 0), bonds=(60, 30, 0, 0), sizes=(0, 0, 0, 5, 0, 1, 0, 0, 0, 0))
    agreement = Agreement(
        census=census,
        molecules={"north": 20, "south": 12},
        local_steps=60,
        shards={"north": "7" * 64, "south": "8" * 64},
    )
    settings = parse({"sites": [{"name": "north"}, {"name": "south"}]}, "the examples")
    change = SignedChange(document='{"run": "trial", "number": 1}', signature="ab" * 70)
    identity: dict[str, Any] = {"run": "trial", "peer": peer_name("north")}
    model: dict[str, Any] = {
        name: digit * 64 for digit, name in zip("123", ("vocabulary", "manifest", "payload"), strict=True)
    }
    model["settings"] = shared_settings(settings)
    counts = Counts(molecules=6, census=census, seconds_per_step=0.25, shard="7" * 64)
    messages: dict[str, Message] = {
        "Joining": Joining(semantics=SEMANTICS, **identity, **model),
        "Joining-with-counts": Joining(semantics=SEMANTICS, **identity, **model, counts=counts),
        "Welcome-wait": Welcome(state="wait"),
        "Welcome-go": Welcome(
            state="go", agreement=agreement, manifest=manifest_of("trial", settings), changes=(change,)
        ),
        "Progress": Progress(
            **identity,
            round=2,
            phase="training",
            step=30,
            steps=60,
            loss=2.5,
            molecules_per_second=716.0,
            seconds_left=3.5,
        ),
        "Progress-finished": Progress(**identity, round=None, phase="finished", model_digest="4" * 64),
        "Probe": Probe(peer=identity["peer"]),
        "Standing": Standing(semantics=SEMANTICS, run="trial", time=1764201600.0, **model),
        "OpeningRequest": OpeningRequest(**identity, changes=1),
        "RoundOpening": RoundOpening(
            round=3,
            digests={"model": "5" * 64},
            last_counted=1,
            reason="too far from the others",
            members_since=1,
            changes=(change,),
            anchor=LogAnchor(
                run="trial",
                round=2,
                log_seq=41,
                head="6" * 64,
                model_digest="5" * 64,
                certificate="-----BEGIN CERTIFICATE-----\nAB==\n-----END CERTIFICATE-----\n",
                signature="cd" * 70,
            ),
        ),
    }
    refusal = encode_error(FedmolError(Exit.UNKNOWN_RUN, "this aggregator serves another run", "ask the coordinator"))
    return {
        **{name: message.model_dump(mode="json") for name, message in messages.items()},
        REFUSAL: json.loads(refusal),
    }


_MAPPINGS = ("settings", "manifest", "agreement.molecules", "agreement.shards", "digests")


def fields(document: Any, place: str = "") -> set[str]:
    """The dotted paths of all fields; what is in a list, or in a mapping with keys of its own, counts once."""
    if isinstance(document, list):
        return set().union(*(fields(one, place) for one in document))
    if not isinstance(document, dict) or place in _MAPPINGS:
        return {place}
    return set().union({place}, *(fields(value, f"{place}.{key}".strip(".")) for key, value in document.items()))


def folder() -> Path:
    return RECORDED / written(PROTOCOL)
