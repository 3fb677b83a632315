"""An event of every kind, as the aggregator's and a site's programs write them."""

from __future__ import annotations

import math
from pathlib import Path
from unittest.mock import patch

from fedmol.telemetry.events.round_events import (
    LogAnchored,
    ModelValidated,
    RoundFinished,
    RoundModelReceived,
    RoundOpened,
    RoundStarted,
    SectionChanges,
    TensorSent,
    UpdateLate,
    UpdateNotCounted,
    UpdateReceived,
    UpdateRefused,
    UpdateSent,
)
from fedmol.telemetry.events.run_events import (
    Changed,
    ChangeRefused,
    ClockStopped,
    ModelDelivered,
    ModelReceived,
    RunBound,
    RunFinished,
    RunStarted,
    RunStopped,
    SettingsChanged,
    StateDamaged,
    StateRebuilt,
)
from fedmol.telemetry.events.site_events import (
    AgreementAccepted,
    AgreementReached,
    Histograms,
    MessageSent,
    PhaseEntered,
    SiteHung,
    SiteJoined,
    SiteLost,
    SiteProgress,
    SiteRefused,
    SiteReturned,
    TrainingStep,
)
from fedmol.telemetry.log import EventLog

FOLDER = Path(__file__).with_name("logs")
TIME = "2026-11-27T12:00:00.000+00:00"  # of every event
DIGEST = "ab" * 32


def aggregator(log: EventLog) -> None:
    log.write(
        RunStarted(
            manifest={"run": "golden", "training.rounds": 2, "sites": ["north", "south"]},
            sites=["north", "south"],
            quorum=1,
            rounds=2,
            parameters=12345,
            model_bytes=49380,
        )
    )
    log.write(SiteJoined(molecules=600, census=Histograms(atoms=[1, 2], bonds=[3], sizes=[0, 4])), site="north")
    log.write(SiteJoined(molecules=300, census=Histograms(sizes=[1])), site="south")
    log.write(
        AgreementReached(
            census=Histograms(atoms=[2], bonds=[], sizes=[5]),
            molecules={"north": 600, "south": 300},
            local_steps=4,
            shards={"north": "cd" * 32, "south": "ef" * 32},
            weights={"north": 2 / 3, "south": 1 / 3},
        )
    )
    log.write(AgreementReached(local_steps=4, molecules={"north": 1}, weights={"north": math.nan}))
    log.write(RoundStarted(), round=1)
    log.write(
        SiteProgress(step=2, steps=4, loss=3.25, molecules_per_second=716.0, seconds_left=1.5),
        site="north",
        round=1,
        phase="training",
    )
    log.write(SiteProgress(model_digest=DIGEST), site="south", phase="finished")
    log.write(SiteProgress(), site="south", round=1, phase="reading shard")
    log.write(UpdateReceived(molecules=600, bytes=49380, norm=math.inf), site="north", round=1)
    log.write(UpdateRefused(reason="x" * 5000 + "\x1b[2J"), site="south", round=1)
    log.write(
        UpdateRefused(times=3, last="2026-11-27T11:59:00.000+00:00", reason="\ud83d\ude00" * 400), site="south", round=1
    )
    log.write(UpdateLate(), site="south", round=1)
    log.write(UpdateLate(times=2**70, last="2026-11-27T11:59:00.000+00:00"), site="south", round=1)
    log.write(UpdateNotCounted(section="model", norm=1e308, limit=1.5), site="south", round=1)
    log.write(
        RoundFinished(
            sites=["north"],
            weights={"north": 1.0},
            missing=["south"],
            excluded=[],
            moves={"north": 0.25},
            last_counted={"north": 1},
            seconds=12.5,
            seconds_outside_training=-1.25,
            aggregator_cpu_seconds=1e12,
            loss=3.5,
            nll=120.0,
            site_loss={"north": 3.5},
            site_nll={"north": 120},
            model_digest=DIGEST,
            digests={"control": DIGEST},
            shares={"north": 0.5},
            members_since=1,
            changes={"control": SectionChanges(norms={"north": 1.0}, total=2.0, before={})},
        ),
        round=1,
    )
    log.write(
        RoundFinished(
            sites=[],
            weights={},
            missing=[],
            seconds=0.0,
            loss=math.nan,
            nll=-0.0,
            site_loss={},
            site_nll={},
            model_digest="",
        ),
        round=2,
    )
    log.write(SiteLost(silent_seconds=61.0), site="south")
    log.write(SiteReturned(), site="south")
    log.write(SiteRefused(reason="tls-handshake", detail="CERTIFICATE_VERIFY_FAILED"), site="nobody")
    log.write(
        SiteRefused(
            reason="certificate-name", times=7, last="2026-11-27T11:59:00.000+00:00", detail="the certificate names 'é'"
        ),
        site="m" * 200,
    )
    log.write(StateDamaged(file="/state/agreement.json", detail="it is missing"))
    log.write(StateDamaged(file="/state/uploads", detail="not a record of an upload"), site="south", round=2)
    log.write(StateRebuilt(file="/state/rounds/round-0002.safetensors"), round=2)
    log.write(
        SettingsChanged(
            number=1,
            changes=Changed(
                rounds=5,
                quorum=2,
                deadline=900.0,
                grace=60,
                join_deadline=1.5,
                lost_after=30,
                add=["west"],
                remove=["south"],
                accept_shards=["north"],
            ),
            document='{"a": 1}',
            signature="00ff",
        ),
        round=2,
    )
    log.write(ChangeRefused(file="0002.json", reason="change-refused", detail="it changes nothing"))
    log.write(ClockStopped(seconds=3600.1))
    log.write(ModelDelivered(model_digest=DIGEST), site="north")
    log.write(
        RunFinished(outcome="quorum", missing=["south"], missed_rounds={"south": 1}, rounds=2, model_digest=DIGEST)
    )
    log.write(RunStopped(reason="quorum-lost", detail="only 1 of 2 sites"))


def site(log: EventLog) -> None:
    log.write(PhaseEntered(), phase="connecting")
    log.write(RunBound(manifest={"run": "golden", "rounds.quorum": None, "list": [1, 2.5, "x"]}))
    log.write(
        AgreementAccepted(
            local_steps=4, census="12" * 32, molecules={"north": 600, "south": 300}, shards={"north": "cd" * 32}
        )
    )
    log.write(SettingsChanged(number=1, changes=Changed(rounds=5)), round=2)
    log.write(RoundOpened(model_digest=DIGEST, digests={"model": DIGEST, "control": DIGEST}, counted=None), round=1)
    log.write(RoundOpened(model_digest=DIGEST, digests={}, counted=False), round=2)
    anchored = LogAnchored(
        log_seq=17,
        head="56" * 32,
        model_digest=DIGEST,
        certificate="-----BEGIN CERTIFICATE-----\n",
        signature="00ff",
    )
    log.write(anchored, round=1)
    log.write(RoundModelReceived(bytes=49380), round=1)
    log.write(PhaseEntered(), round=1, phase="validating")
    log.write(ModelValidated(nll=120.5), round=1)
    log.write(PhaseEntered(), round=1, phase="training")
    log.write(
        TrainingStep(step=4, steps=4, loss=3.25, molecules_per_second=716.5, seconds_left=0.0),
        round=1,
        phase="training",
    )
    log.write(
        UpdateSent(
            tensors=[
                TensorSent(name="model", shape=[12345], bytes=49380),
                TensorSent(name="control", shape=[], bytes=4),
            ],
            bytes=49384,
        ),
        round=1,
    )
    log.write(MessageSent(call="Join", times=3, bytes=900, holds=["run", "peer"]))
    log.write(UpdateNotCounted(reason="it moved too far (rounds.max_update_norm_ratio)"), round=1)
    log.write(SiteHung(seconds=1800.1, detail="training: loop.py:1 step"))
    log.write(StateDamaged(file="/state/partial.safetensors", detail="it is cut short"))
    log.write(ModelReceived(model_digest=DIGEST, file_digest="34" * 32, bytes=50000))
    log.write(RunFinished(model_digest=DIGEST))
    log.write(RunStopped(reason="terminated", detail="the site was asked to stop"))


LOGS = {"aggregator": aggregator, "site": site}


def written(name: str, folder: Path) -> bytes:
    """The log of that name as it is written today."""
    log = EventLog(folder / "events.jsonl", run="golden", site="aggregator" if name == "aggregator" else "north")
    with patch("fedmol.telemetry.log.stamp", lambda: TIME):
        LOGS[name](log)
    return log.path.read_bytes()
