from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fedmol.pki import certificates
from fedmol.pki.certificates import CertificateFiles
from fedmol.telemetry.events.round_events import RoundModelReceived, TensorSent, UpdateSent
from fedmol.telemetry.events.site_events import PhaseEntered, TrainingStep
from fedmol.telemetry.log import EventLog
from tests.support.story import MODEL_BYTES, Story

DAY = timedelta(days=1)


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    certificates.make_ca(tmp_path / "authority", "trial", 300 * DAY)
    return tmp_path / "authority"


@pytest.fixture
def north(authority: Path, tmp_path: Path) -> CertificateFiles:
    """A site in good order."""
    certificates.issue_site(authority, tmp_path / "north", "north", 90 * DAY)
    return CertificateFiles.in_folder(tmp_path / "north")


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path, ["north", "south"])


@pytest.fixture
def site_log(tmp_path: Path) -> EventLog:
    """A site that has trained and sent once, and is training again."""
    log = EventLog(tmp_path / "events.jsonl", run="trial", site="north")
    for phase in ("connecting", "reading shard", "waiting for the others"):
        log.write(PhaseEntered(), phase=phase)
    for round in (1, 2):
        log.write(RoundModelReceived(bytes=MODEL_BYTES), round=round)
        for phase in ("validating", "training"):
            log.write(PhaseEntered(), round=round, phase=phase)
        for step in (1, 4) if round == 1 else (2,):
            fields: dict[str, Any] = {
                "step": step,
                "steps": 4,
                "loss": float(step),
                "molecules_per_second": 9.0,
                "seconds_left": 3.0,
            }
            log.write(TrainingStep(**fields), round=round, phase="training")
        if round == 1:
            log.write(PhaseEntered(), round=1, phase="sending")
            log.write(UpdateSent(tensors=[TensorSent(name="model", shape=[100], bytes=400)], bytes=400), round=1)
    return log
