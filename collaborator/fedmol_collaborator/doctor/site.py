"""The checks of a site, and which builds on which."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmol.doctor import papers, room
from fedmol.doctor.examination import Check, Finding, ok
from fedmol.federation.certificates import CertificateFiles
from fedmol.federation.messages import Standing
from fedmol.federation.settings import Settings
from fedmol_collaborator.doctor import crossing, machine, network
from fedmol_collaborator.ended import ending
from fedmol_collaborator.outgoing import Outgoing

_PAPERS = ("authority", "certificate", "key", "site's name", "validity")
_LARGE = "the file is large: give it time once by `fedmol data card`, or try a part of it first"
_SLOW = "a step should take seconds: use a GPU, a smaller model.preset or a smaller training.batch_size"
_UNTOLD = Finding("skipped", "it takes --work")


@dataclass(frozen=True)
class SiteFolders:
    """Whose files they are, where, and for which run."""

    site: str
    certificates: CertificateFiles
    shard: Path
    work: Path | None
    run: str | None = None


def checks(settings: Settings, own: SiteFolders) -> list[Check]:
    if own.work and own.run and ending(own.work, own.run).over:
        return [Check("run", lambda _: ok(f"{own.run} is over, and this site took part in it"))]
    return [*_papers(settings, own), *_way(settings, own), *_agreement(settings, own), *_machine(settings, own)]


def _papers(settings: Settings, own: SiteFolders) -> list[Check]:
    files = own.certificates
    return [
        Check("authority", lambda _: papers.authority(files)),
        Check("certificate", lambda _: papers.issuer(files), ("authority",)),
        Check("key", lambda _: papers.key(files)),
        Check("site's name", lambda _: papers.name(files, own.site, settings.site_names)),
        Check("validity", lambda _: papers.validity(files)),
    ]


def _way(settings: Settings, own: SiteFolders) -> list[Check]:
    host, port, files = settings.network.address, settings.network.port, own.certificates
    messages: list[dict[str, Any]] = []

    def note(kind: str, **fields: Any) -> None:
        messages.append(fields)

    outgoing = Outgoing(note, again_after=0.0)
    dns = "the name server does not answer: check this machine's DNS (in a container: its network)"
    return [
        Check("name resolution", lambda _: network.resolve(host), limit=10, when_slow=dns),
        Check("connection", lambda _: network.connect(host, port), ("name resolution",)),
        Check("TLS", lambda _: network.shake_hands(host, port, files), ("authority", "connection")),
        Check("aggregator's name", lambda known: papers.served(known["TLS"], host), ("TLS",)),
        Check(
            "admission",
            lambda _: crossing.admission(settings, files, own.site, outgoing),
            (*_PAPERS, "aggregator's name"),
            limit=60,
        ),
        Check("clock", lambda known: crossing.clock(known["admission"]), ("admission",)),
        Check("round trip", lambda known: crossing.round_trip(known["admission"]), ("admission",)),
        Check("throughput", lambda _: crossing.throughput(settings, files, outgoing), ("admission",), limit=60),
        Check("messages", lambda _: crossing.sent(messages), ("throughput",)),
    ]


def _agreement(settings: Settings, own: SiteFolders) -> list[Check]:
    def standing(known: dict[str, Any]) -> Standing:
        found: Standing = known["admission"][-1].standing
        return found

    run = own.run
    asked = [Check("run", lambda known: crossing.same_run(standing(known), run), ("admission",))] if run else []
    return [
        *asked,
        Check("same versions", lambda known: crossing.same_versions(standing(known)), ("admission",)),
        Check("same model", lambda known: crossing.same_model(settings, standing(known)), ("admission",)),
        Check("same settings", lambda known: crossing.same_settings(settings, standing(known)), ("admission",)),
    ]


def _machine(settings: Settings, own: SiteFolders) -> list[Check]:
    return [
        Check("device", lambda _: machine.device(settings)),
        Check("shard", lambda _: machine.shard(settings, own.shard), limit=600, when_slow=_LARGE),
        Check(
            "training step",
            lambda known: machine.training_step(settings, known["shard"]),
            ("device", "shard"),
            limit=300,
            when_slow=_SLOW,
        ),
        Check(
            "seconds per round",
            lambda known: crossing.seconds_per_round(settings, known["throughput"], known["training step"]),
            ("throughput", "training step"),
        ),
        Check("memory", lambda _: machine.memory(settings), ("training step",)),
        Check("work folder", lambda _: room.work_folder(own.work) if own.work else _UNTOLD),
        Check(
            "disk",
            lambda known: machine.site_disk(settings, own.work, known["shard"]) if own.work else _UNTOLD,
            ("shard",),
        ),
    ]
