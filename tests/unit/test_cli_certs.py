from __future__ import annotations

from pathlib import Path

import pytest

from fedmol.cli.main import run
from fedmol.errors import Exit
from fedmol.pki import certificate_info


def test_a_federation_gets_its_certificates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ca, site, signed = tmp_path / "ca", tmp_path / "north", tmp_path / "north.crt"
    for call in (
        ["ca", "--out", str(ca), "--name", "trial", "--no-passphrase"],
        [
            "aggregator",
            "--ca",
            str(ca),
            "--san",
            "localhost",
            "--san",
            "127.0.0.1",
            "--out",
            str(tmp_path / "aggregator"),
        ],
        ["request", "--site", "north", "--out", str(site)],
        ["sign", str(site / "party.csr"), "--ca", str(ca), "--site", "north", "--minutes", "10", "--out", str(signed)],
        ["install", str(signed), "--ca", str(ca / "ca.crt"), "--dir", str(site)],
        ["show", str(site / "party.crt"), str(ca / "ca.crt")],
    ):
        assert run(["certs", *call]) == Exit.DONE, call
    said = capsys.readouterr().out
    fingerprints = [line for line in said.splitlines() if line.startswith("fingerprint of the key")]
    assert len(fingerprints) == 2
    assert len(set(fingerprints)) == 1
    assert "north" in said
    assert "0.01" in said  # days left of ten minutes


@pytest.mark.parametrize(
    ("call", "code", "named"),
    [
        (["certs", "show", "nothing.crt"], Exit.CERTIFICATE_MISSING, "nothing.crt"),
        (["certs", "request", "--site", "No Such Name", "--out", "x"], Exit.USAGE, "No Such Name"),
        (["certs", "site", "--ca", "nowhere", "--site", "north", "--out", "x"], Exit.CERTIFICATE_MISSING, "nowhere"),
        (["certs", "ca", "--out", "x", "--days", "0"], Exit.USAGE, "--days"),
        (["certs", "ca", "--out", "x", "--days", "99999999999"], Exit.USAGE, "--days"),
        (["certs", "ca", "--out", "x", "--name", "n" * 99, "--no-passphrase"], Exit.USAGE, "64"),
        (["certs", "ca", "--out", "/dev/null/x", "--no-passphrase"], Exit.USAGE, "/dev/null"),
        (["certs", "ca", "--out", "x"], Exit.USAGE, "--passphrase-file"),
        (["certs", "ca", "--out", "x", "--passphrase-file", "/dev/null"], Exit.USAGE, "shorter than 8"),
        (["certs", "sing"], Exit.USAGE, "sing"),
        (["cert"], Exit.USAGE, "cert"),
    ],
)
def test_a_wrong_call_ends_with_its_code_and_no_traceback(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    call: list[str],
    code: Exit,
    named: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(call) == code
    said = capsys.readouterr().err
    assert named in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_a_passphrase_locks_the_authority(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ca, right, wrong = tmp_path / "ca", tmp_path / "right", tmp_path / "wrong"
    right.write_text("correct horse battery\nanything\n")
    wrong.write_text("another one\n")
    assert run(["certs", "ca", "--out", str(ca), "--passphrase-file", str(right)]) == Exit.DONE
    assert b"ENCRYPTED" in (ca / "ca.key").read_bytes()
    call = ["certs", "site", "--ca", str(ca), "--site", "north", "--out", str(tmp_path / "north")]
    assert run(call) == Exit.USAGE  # nobody is there to be asked
    assert run([*call, "--passphrase-file", str(wrong)]) == Exit.CERTIFICATE_FOREIGN
    assert not (tmp_path / "north").exists()
    assert "does not open" in capsys.readouterr().err
    assert run([*call, "--passphrase-file", str(right)]) == Exit.DONE
    assert run(["certs", "list", "--ca", str(ca)]) == Exit.DONE
    assert "north" in capsys.readouterr().out


def test_a_site_a_number_or_a_certificate_is_denied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ca, site, own = tmp_path / "ca", tmp_path / "north", tmp_path / "aggregator"
    assert run(["certs", "ca", "--out", str(ca), "--no-passphrase"]) == Exit.DONE
    assert run(["certs", "site", "--ca", str(ca), "--site", "north", "--out", str(site)]) == Exit.DONE
    assert run(["certs", "aggregator", "--ca", str(ca), "--san", "localhost", "--out", str(own)]) == Exit.DONE
    for whom in ("south", "south", "0A:BC", str(site / "party.crt")):
        assert run(["certs", "deny", whom, "--certs", str(own)]) == Exit.DONE
    assert "already" in capsys.readouterr().out
    serial = certificate_info.describe(site / "party.crt").serial
    assert (own / "denied.txt").read_text().split() == ["south", "0abc", serial]
    for nobody in ("*", "aggregator", str(ca / "ca.crt"), str(own / "party.crt")):
        assert run(["certs", "deny", nobody, "--certs", str(own)]) == Exit.USAGE
    assert run(["certs", "deny", "south", "--certs", str(site)]) == Exit.USAGE  # where no aggregator looks
    (own / "denied.txt").write_bytes(b"\0\0")
    assert run(["certs", "deny", "west", "--certs", str(own)]) == Exit.STATE_UNUSABLE
    assert (own / "denied.txt").read_bytes() == b"\0\0"


def test_what_no_authority_has_signed_is_not_an_empty_list(tmp_path: Path) -> None:
    assert run(["certs", "list", "--ca", str(tmp_path)]) == Exit.CERTIFICATE_MISSING


def test_a_new_key_under_a_known_name_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ca = tmp_path / "ca"
    assert run(["certs", "ca", "--out", str(ca), "--no-passphrase"]) == Exit.DONE
    for number, (key, said) in enumerate([("a", False), ("a", False), ("b", True)]):
        if not (tmp_path / key).exists():
            assert run(["certs", "request", "--site", "north", "--out", str(tmp_path / key)]) == Exit.DONE
        out = str(tmp_path / f"{number}.crt")
        request = str(tmp_path / key / "party.csr")
        assert run(["certs", "sign", request, "--ca", str(ca), "--site", "north", "--out", out]) == Exit.DONE
        assert ("another key" in capsys.readouterr().out) is said
