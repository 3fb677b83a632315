"""Who is let in by their certificate, and how often."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fedmol.errors import Exit, FedmolError
from fedmol.fl.federation import parse
from fedmol.telemetry.events.run_events import StateDamaged
from fedmol.telemetry.log import EventLog, read
from fedmol.telemetry.queries import logged
from fedmol.training.assembly import vocabulary_of
from fedmol_aggregator import admission
from fedmol_aggregator.admission import Admission, DenyList, Kind, Overload, read_certificate
from fedmol_aggregator.enrollment import Roster
from fedmol_aggregator.refusal_log import RefusalLog

TODAY = datetime(2026, 1, 1, tzinfo=UTC)


def certificate(name: str | None, days: int = 30, key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
    key = key or ec.generate_private_key(ec.SECP256R1())
    attributes = [] if name is None else [x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(attributes))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(TODAY - timedelta(days=1))
        .not_valid_after(TODAY + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


class Entrance:
    def __init__(self, folder: Path) -> None:
        settings = parse({"sites": [{"name": "north"}, {"name": "south"}]}, "test")
        self.events = EventLog(folder / "events.jsonl", run="r", site="aggregator")
        roster = Roster(settings, "r", vocabulary_of(settings), "manifest", "payload")
        self.denied, self.now = folder / "denied.txt", TODAY
        self.admission = Admission(
            roster, DenyList(self.denied, self.events), RefusalLog(self.events), lambda: self.now
        )

    def refusal(self, pem: bytes) -> Exit:
        with pytest.raises(FedmolError) as caught, self.admission.enter(pem, Kind.CONTROL):
            pass
        return caught.value.exit


@pytest.fixture
def entrance(tmp_path: Path) -> Entrance:
    return Entrance(tmp_path)


def test_a_member_is_let_in_by_its_certificate_s_name(entrance: Entrance) -> None:
    with entrance.admission.enter(certificate("north"), Kind.CONTROL) as site:
        assert site == "north"


@pytest.mark.parametrize("name", ["stranger", None, "North", "aggregator", "north "])
def test_another_name_is_refused(entrance: Entrance, name: str | None) -> None:
    assert entrance.refusal(certificate(name)) is Exit.CERTIFICATE_NAME
    assert [(event.kind, event.site) for event in read(entrance.events.path)] == [("site_refused", name or "nobody")]


def test_a_certificate_that_expires_on_an_open_connection_is_refused_from_then_on(entrance: Entrance) -> None:
    pem = certificate("north", days=30)
    with entrance.admission.enter(pem, Kind.CONTROL):
        pass
    entrance.now = TODAY + timedelta(days=31)
    assert entrance.refusal(pem) is Exit.CERTIFICATE_EXPIRED


def test_the_deny_list_is_read_again_when_it_changes(entrance: Entrance) -> None:
    north, other = certificate("north"), certificate("north")
    entrance.denied.write_text(f"# taken back\n{read_certificate(north).serial:X}  # stolen\n")
    assert entrance.refusal(north) is Exit.CERTIFICATE_NAME
    with entrance.admission.enter(other, Kind.CONTROL):
        pass
    entrance.denied.write_text("north\n\n")
    assert entrance.refusal(other) is Exit.CERTIFICATE_NAME
    entrance.denied.unlink()  # lost, perhaps: it lifts nothing
    assert entrance.refusal(other) is Exit.CERTIFICATE_NAME
    entrance.denied.write_text("")
    with entrance.admission.enter(north, Kind.CONTROL):
        pass


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"\xff\xfe"),
        lambda path: path.write_bytes(bytes(2**21)),
        lambda path: path.write_bytes(bytes(40)),
        lambda path: path.write_text("the gate in the east\n"),
        lambda path: path.unlink(),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: (path.unlink(), path.symlink_to(path)),
    ],
)
def test_a_deny_list_that_cannot_be_read_denies_what_it_did_and_is_named(
    entrance: Entrance, damage: Callable[[Path], object]
) -> None:
    north = certificate("north")
    entrance.denied.write_text("north\n")
    assert entrance.refusal(north) is Exit.CERTIFICATE_NAME
    damage(entrance.denied)
    for _ in range(3):
        assert entrance.refusal(north) is Exit.CERTIFICATE_NAME
    damaged = [event.body.file for event in logged(entrance.events.path, StateDamaged)]
    assert damaged == [str(entrance.denied)]
    remove(entrance.denied)
    entrance.denied.write_text("south\n")
    with entrance.admission.enter(north, Kind.CONTROL):
        pass


def remove(path: Path) -> None:
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


@pytest.mark.parametrize("content", [b"\xff", bytes(40), b"north\nthe gate in the east\n", bytes(2**21)])
def test_a_deny_list_that_is_damaged_from_the_beginning_lets_nobody_in(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "denied.txt").write_bytes(content)
    with pytest.raises(FedmolError, match=r"denied\.txt") as caught:
        Entrance(tmp_path)
    assert caught.value.exit is Exit.STATE_UNUSABLE


def test_the_good_lines_beside_a_wrong_one_are_in_force(entrance: Entrance) -> None:
    north = certificate("north")
    with entrance.admission.enter(north, Kind.CONTROL):
        pass
    entrance.denied.write_text("the gate in the east\nnorth\n")
    assert entrance.refusal(north) is Exit.CERTIFICATE_NAME


def test_one_key_is_one_member(entrance: Entrance) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    with entrance.admission.enter(certificate("north", key=key), Kind.CONTROL):
        pass
    assert entrance.refusal(certificate("south", key=key)) is Exit.CERTIFICATE_OF_ANOTHER_SITE
    with entrance.admission.enter(certificate("north", key=key), Kind.CONTROL):
        pass  # a renewed certificate of the same key


def test_a_key_on_another_curve_is_refused_whoever_signed_it(entrance: Entrance) -> None:
    weak = certificate("north", key=ec.generate_private_key(ec.SECP192R1()))
    assert entrance.refusal(weak) is Exit.CERTIFICATE_FOREIGN


def test_a_site_has_a_number_of_open_calls_of_each_kind_and_takes_none_of_another_s(entrance: Entrance) -> None:
    north, south = certificate("north"), certificate("south")
    entered = [entrance.admission.enter(north, Kind.CONTROL) for _ in range(Kind.CONTROL.value)]
    for one in entered:
        one.__enter__()
    with pytest.raises(Overload), entrance.admission.enter(north, Kind.CONTROL):
        pass
    with entrance.admission.enter(north, Kind.UPLOAD), entrance.admission.enter(south, Kind.CONTROL):
        pass
    entered[0].__exit__(None, None, None)
    with entrance.admission.enter(north, Kind.CONTROL):
        pass


def test_a_site_that_calls_without_end_is_slowed_down(entrance: Entrance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "_CALLS_A_SECOND", 0.0)
    north = certificate("north")
    for _ in range(200):
        with entrance.admission.enter(north, Kind.CONTROL):
            pass
    with pytest.raises(Overload, match="calls a second"), entrance.admission.enter(north, Kind.CONTROL):
        pass
    with entrance.admission.enter(certificate("south"), Kind.CONTROL):
        pass
