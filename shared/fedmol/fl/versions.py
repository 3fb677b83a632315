"""The two versions by which aggregator and sites know whether they can work together.

The protocol, `PROTOCOL`, is what they say to each other:

- The major number must be equal. It rises when a message changes so that the other side could no longer read it.
- The minor number may differ. It rises when a message gets a new field that the other side can do without: whoever
  knows only a lower minor number ignores what it does not know, but only from a peer that says a higher one. From all
  others an unknown field is refused.

The semantics, `SEMANTICS`, is what a given model and seed compute, up to rounding. It must be equal. Raise it whenever
a change of training, loss, noise, optimiser or sampling changes results; tests/golden holds numbers that tell when.

The version of the package, and that of torch, may differ. The settings that all parties share are compared entry by
entry, so a release that adds one does not work with those that lack it. Programs before protocol 2 compared a hash of
their sources and did not say a version at all.
"""

from __future__ import annotations

from fedmol.errors import Exit, FedmolError

PROTOCOL = (2, 1)
ANCHORS = (2, 1)  # from here on an aggregator sends an anchor of its event log with every opening but the first
SEMANTICS = 1

PATTERN = r"^(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})$"  # of a protocol's number as it is written
BEFORE = (1, 0)  # what a message without a version is taken for

_SAID_BEFORE = "the site speaks another version of fedmol's protocol"


def written(version: tuple[int, int]) -> str:
    return "{}.{}".format(*version)


def parsed(text: str) -> tuple[int, int]:
    """The version that is written as `text`, which matches `PATTERN`."""
    major, minor = text.split(".")
    return int(major), int(minor)


def check_protocol(theirs: tuple[int, int], peer: str) -> None:
    """Raises FedmolError PROTOCOL_DIFFERS when `peer` ("the site", "the aggregator") has another major version."""
    if theirs[0] != PROTOCOL[0]:
        said = "1" if theirs == BEFORE else written(theirs)
        newer = max(theirs[0], PROTOCOL[0])
        raise FedmolError(
            Exit.PROTOCOL_DIFFERS,
            f"{peer} speaks fedmol's protocol {said}, {_other(peer)} protocol {written(PROTOCOL)}",
            f"install a fedmol of protocol {newer} on both sides (fedmol --version); minor versions may differ",
        )


def _other(peer: str) -> str:
    return "the aggregator" if peer == "the site" else "the site"


def understood(refusal: FedmolError) -> FedmolError:
    """A refusal as it is meant: an aggregator of protocol 1 says this to every site that is newer."""
    if (refusal.exit, refusal.message) == (Exit.MODEL_DIFFERS, _SAID_BEFORE):
        try:
            check_protocol(BEFORE, "the aggregator")
        except FedmolError as differs:
            return differs
    return refusal


def check_semantics(theirs: int, peer: str) -> None:
    """Raises FedmolError MODEL_DIFFERS when `peer` computes other models from the same numbers."""
    if theirs != SEMANTICS:
        raise FedmolError(
            Exit.MODEL_DIFFERS,
            f"{peer} computes by fedmol's semantics {theirs}, {_other(peer)} by semantics {SEMANTICS}: the same model "
            "and molecules would give other results",
            f"install a fedmol with semantics {max(theirs, SEMANTICS)} on both sides (fedmol --version)",
        )
