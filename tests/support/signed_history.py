"""The event logs of a small run: an aggregator's, and those of two sites with the anchors that they were sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from fedmol.fl.log_anchors import AnchoredLine, event_of, make
from fedmol.fl.messages import LogAnchor
from fedmol.pki import certificates, pem
from fedmol.pki.certificates import CertificateFiles
from fedmol.telemetry.events.round_events import RoundFinished, RoundStarted
from fedmol.telemetry.events.run_events import RunFinished, RunStarted
from fedmol.telemetry.events.site_events import PhaseEntered, SiteProgress
from fedmol.telemetry.log import EventLog

RUN, DAY = "trial", timedelta(days=1)
SITES = ("north", "south")


class Authority:
    def __init__(self, folder: Path) -> None:
        self.folder = folder / "authority"
        certificates.make_ca(self.folder, "trial", 10 * DAY)
        certificates.issue_aggregator(self.folder, folder / "aggregator", ["fl.example.org"], DAY)
        certificates.issue_site(self.folder, folder / "site", "north", DAY)
        self.aggregator = CertificateFiles.in_folder(folder / "aggregator")
        self.site = CertificateFiles.in_folder(folder / "site")

    @property
    def certificate(self) -> Path:
        return self.folder / "ca.crt"

    def anchor(self, line: AnchoredLine, files: CertificateFiles | None = None) -> LogAnchor:
        files = files or self.aggregator
        return make(line, pem.read_key(files.key), pem.read_certificate(files.certificate))


class History:
    """A run with rounds of a few lines each, in a folder of its own."""

    def __init__(self, folder: Path, authority: Authority, sites: Sequence[str] = SITES) -> None:
        self.authority = authority
        self.aggregator = EventLog(folder / "aggregator" / "events.jsonl", run=RUN, site="aggregator")
        self.logs = {site: EventLog(folder / site / "events.jsonl", run=RUN, site=site) for site in sites}
        self.aggregator.write(RunStarted(sites=list(sites), rounds=9, quorum=1, parameters=1, model_bytes=4))
        for log in self.logs.values():
            log.write(PhaseEntered(), phase="connecting")
        self.anchors: list[LogAnchor] = []

    @property
    def sites(self) -> list[Path]:
        return [log.path for log in self.logs.values()]

    def round(self, number: int, lines: int = 2, model: str = "") -> AnchoredLine:
        """One more round is over."""
        self.aggregator.write(RoundStarted(), round=number)
        for count in range(lines):
            self.aggregator.write(SiteProgress(step=count), site=SITES[count % 2], round=number, phase="training")
        digest = model or f"{number:x}" * 64
        figures: dict[str, Any] = {"loss": 1.0, "nll": 2.0, "seconds": 1.0, "site_loss": {}, "site_nll": {}}
        closing = self.aggregator.write(
            RoundFinished(sites=[], weights={}, missing=[], model_digest=digest, **figures), round=number
        )
        return AnchoredLine(RUN, number, closing.seq, closing.head, digest)

    def tell(self, line: AnchoredLine, *sites: str, files: CertificateFiles | None = None) -> LogAnchor:
        """Sites keep the anchor of a round; all of them when none is named."""
        anchor = self.authority.anchor(line, files)
        for site in sites or self.logs:
            self.logs[site].write(event_of(anchor), round=anchor.round)
            self.logs[site].write(PhaseEntered(), round=anchor.round, phase="training")
        return anchor

    def play(self, rounds: int, lines: int = 2) -> None:
        for number in range(1, rounds + 1):
            self.tell(self.round(number, lines))
        self.aggregator.write(RunFinished(outcome="complete"))
