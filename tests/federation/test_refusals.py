"""Peers that must not get in: each ends with its own exit code and a cure, leaves an audit line, and harms nobody."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

import fedmol
from fedmol.errors import Exit
from fedmol.fl.versions import SEMANTICS
from fedmol.local.processes import Party
from fedmol.pki import certificates
from fedmol.telemetry.events.run_events import RunFinished
from fedmol.telemetry.events.site_events import SiteRefused
from tests.support.stage import PATIENCE, Stage, copy_certificates

DAY = timedelta(days=1)


def _strangers_certificate(stage: Stage, folder: Path) -> dict[str, str]:
    certificates.issue_site(stage.folder / "certs" / "authority", folder / "certs", "stranger", DAY)
    return {"certs": str(folder / "certs")}


def _neighbours_certificate(stage: Stage, folder: Path) -> dict[str, str]:
    return {"certs": str(stage.folder / "certs" / "site-west")}


def _foreign_authority(stage: Stage, folder: Path) -> dict[str, str]:
    certificates.make_ca(folder / "authority", "elsewhere", DAY)
    certificates.issue_site(folder / "authority", folder / "certs", "model", DAY)
    return {"certs": str(folder / "certs")}


def _foreign_certificate(stage: Stage, folder: Path) -> dict[str, str]:
    """The federation's ca.crt, and so trust in the aggregator, but a certificate from somewhere else."""
    told = _foreign_authority(stage, folder)
    shutil.copy(stage.folder / "certs" / "authority" / "ca.crt", folder / "certs" / "ca.crt")
    return told


def _expired(stage: Stage, folder: Path) -> dict[str, str]:
    certificates.issue_site(stage.folder / "certs" / "authority", folder / "certs", "model", timedelta(seconds=-60))
    return {"certs": str(folder / "certs")}


def _no_certificate(stage: Stage, folder: Path) -> dict[str, str]:
    copied = copy_certificates(stage, "site-model", folder / "certs")
    (copied / "party.crt").unlink()
    (copied / "party.key").unlink()
    return {"certs": str(copied)}


def _unknown_run(stage: Stage, folder: Path) -> dict[str, str]:
    return {"run": "another-run"}


def _changed_settings(stage: Stage, folder: Path, section: str, key: str, value: object) -> dict[str, str]:
    document = yaml.safe_load((stage.folder / "settings.yaml").read_text())
    document[section][key] = value
    (folder / "settings.yaml").write_text(yaml.safe_dump(document))
    return {"settings": str(folder / "settings.yaml")}


def _other_vocabulary(stage: Stage, folder: Path) -> dict[str, str]:
    return _changed_settings(stage, folder, "model", "vocabulary", "qm9")


def _other_settings(stage: Stage, folder: Path) -> dict[str, str]:
    return _changed_settings(stage, folder, "training", "batch_size", 17)


def other_package(folder: Path) -> Path:
    """A fedmol to change, for who looks into `folder` first."""
    package = folder / "fedmol"
    shutil.copytree(Path(fedmol.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    return package


def look_first_into(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))


def _other_semantics(stage: Stage, folder: Path) -> dict[str, str]:
    source = other_package(folder) / "fl" / "versions.py"
    source.write_text(source.read_text().replace(f"SEMANTICS = {SEMANTICS}", f"SEMANTICS = {SEMANTICS + 1}"))
    return {}


def _other_protocol(stage: Stage, folder: Path) -> dict[str, str]:
    source = other_package(folder) / "fl" / "versions.py"
    source.write_text(source.read_text().replace("PROTOCOL = (2, 1)", "PROTOCOL = (3, 0)"))
    return {}


REFUSALS = {
    "wrong-common-name": (_strangers_certificate, Exit.CERTIFICATE_NAME, "certificate-name"),
    "neighbours-certificate": (
        _neighbours_certificate,
        Exit.CERTIFICATE_OF_ANOTHER_SITE,
        "certificate-of-another-site",
    ),
    "foreign-authority": (_foreign_authority, Exit.CERTIFICATE_FOREIGN, "tls-handshake"),
    "foreign-certificate": (_foreign_certificate, Exit.CERTIFICATE_FOREIGN, "tls-handshake"),
    "expired-certificate": (_expired, Exit.CERTIFICATE_EXPIRED, "tls-handshake"),
    "no-certificate": (_no_certificate, Exit.CERTIFICATE_MISSING, "tls-handshake"),
    "unknown-run": (_unknown_run, Exit.UNKNOWN_RUN, "unknown-run"),
    "other-vocabulary": (_other_vocabulary, Exit.VOCABULARY_DIFFERS, "vocabulary-differs"),
    "other-settings": (_other_settings, Exit.BAD_SETTINGS, "bad-settings"),
    "other-semantics": (_other_semantics, Exit.MODEL_DIFFERS, "model-differs"),
    "other-protocol": (_other_protocol, Exit.PROTOCOL_DIFFERS, "protocol-differs"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refused(waiting: Stage, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _is_refused(waiting, case, tmp_path, monkeypatch)


def _is_refused(waiting: Stage, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrange, exit, reason = REFUSALS[case]
    intruder: Party = waiting.intruder("model", **arrange(waiting, tmp_path))
    if (tmp_path / "fedmol").exists():
        look_first_into(tmp_path, monkeypatch)
    intruder.start()
    assert intruder.process is not None
    assert intruder.process.wait(PATIENCE) == exit, intruder.log.read_text()
    said = intruder.last_words()
    assert said.startswith("error: ")
    assert said.count("cure:") == 1
    assert exit.page in said
    # What one caller is refused for again within a minute adds up to one event.
    assert reason in {event.body.reason for event in waiting.events(SiteRefused)}


def test_the_others_go_on_also_with_a_comment_in_the_source_of_one(
    waiting: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Last in this file: after a refusal, or all of them, the federation's own sites train to the end."""
    _is_refused(waiting, "unknown-run", tmp_path, monkeypatch)
    first, *others = waiting.sites
    waiting.start(*others)
    with (other_package(tmp_path) / "models" / "denoiser.py").open("a") as source:
        source.write("\n# a comment parts no consortium\n")
    look_first_into(tmp_path, monkeypatch)
    waiting.start(first)
    assert {name: waiting.wait(name) for name in waiting.parties} == dict.fromkeys(waiting.parties, 0)
    assert waiting.events(RunFinished)[0].body.outcome == "complete"
