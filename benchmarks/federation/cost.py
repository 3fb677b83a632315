"""What a round costs the aggregator, training stubbed, beside the floor: the same members and bytes, turn by turn."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np

from benchmarks.federation.cases import RUN, WARM, Case, introduction, molecules_of, settings_of
from benchmarks.federation.servers import Aggregator, Floor, Party, Server, Turn, Update
from fedmol.errors import Exit, FedmolError
from fedmol.fl.federation import Settings, dump
from fedmol.fl.payload import Vector
from fedmol.pki import certificates

_VALIDITY = timedelta(days=1)


@dataclass(frozen=True)
class Side:
    """The measured rounds of one of the two, the peak of its memory, and the digest of the model that it ends with."""

    turns: list[Turn]
    peak_bytes: int
    digest: str


@dataclass(frozen=True)
class Cost:
    case: Case
    model_bytes: int
    ours: Side
    floor: Side


def measure(case: Case, folder: Path) -> Cost:
    """Play the case's rounds with both in turns. `folder` is a new one, and keeps what the aggregator wrote."""
    settings = settings_of(case)
    _certify(settings, folder)
    joining, initial = introduction(settings)
    parties = _parties(settings, folder, initial)
    (folder / "federation.yaml").write_text(dump(settings))
    own = folder / "certs" / "aggregator"
    with (
        Floor(parties, own, folder / "initial") as floor,
        Aggregator(settings, parties, own, folder / "federation.yaml", joining) as ours,
    ):
        floor.open()
        ours.open()
        turns: list[tuple[Turn, Turn]] = []
        for round in range(1, settings.training.rounds + 1):
            turns.append((_in_quiet(ours, round), _in_quiet(floor, round)))
        ours.finish()
    if ours.digest() != floor.digest:
        raise FedmolError(
            Exit.INTERNAL,
            f"{case.name}: the aggregator ends with model {ours.digest()[:12]}, the floor with {floor.digest[:12]}",
            "find out which of them is wrong before their costs are compared",
        )
    measured = turns[WARM:]
    return Cost(
        case,
        initial.nbytes,
        Side([here for here, _ in measured], ours.peak_bytes, ours.digest()),
        Side([least for _, least in measured], floor.peak_bytes, floor.digest),
    )


def _in_quiet(server: Server, round: int) -> Turn:
    """The round, once the system has written what the one before left to be written: else the next in turn pays."""
    os.sync()
    return server.play(round)


def _certify(settings: Settings, folder: Path) -> None:
    certs = folder / "certs"
    certificates.make_ca(certs / "authority", RUN, _VALIDITY)
    certificates.issue_aggregator(certs / "authority", certs / "aggregator", ["localhost"], _VALIDITY)
    for site in settings.site_names:
        certificates.issue_site(certs / "authority", certs / site, site, _VALIDITY)


def _parties(settings: Settings, folder: Path, initial: Vector) -> list[Party]:
    initial.tofile(folder / "initial")
    update = folder / "update"
    (initial * np.float32(1 + 2**-20)).tofile(update)
    molecules = molecules_of(settings)
    return [
        Party(site, folder / "certs" / site, molecules[site], Update(update, place))
        for place, site in enumerate(settings.site_names)
    ]
