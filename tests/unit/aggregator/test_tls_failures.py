from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fedmol.telemetry.events.site_events import SiteRefused
from fedmol.telemetry.log import EventLog
from fedmol.telemetry.queries import logged
from fedmol_aggregator.tls_failures import Listener, reason

_SPEAKER = """
import sys
from pathlib import Path
from fedmol.telemetry.log import EventLog
from fedmol_aggregator import tls_failures
pump, tls_failures._pump = tls_failures._pump, lambda *given: (__import__("time").sleep(0.5), pump(*given))
tls_failures.watch_stderr(EventLog(Path(sys.argv[1]), run="run", site="aggregator"))
for number in range(1000):
    print("line", number, file=sys.stderr)
sys.exit(31)
"""


def test_the_last_words_of_a_process_are_not_lost(tmp_path: Path) -> None:
    """Though the thread that passes them on is slow to begin."""
    said = subprocess.run(
        [sys.executable, "-c", _SPEAKER, str(tmp_path / "events.jsonl")], capture_output=True, text=True, check=False
    )
    assert said.returncode == 31
    assert said.stderr.splitlines()[-1] == "line 999"


def test_the_reason_is_read_from_a_line_of_grpc() -> None:
    line = (
        b"E0000 00:00:1732377.1 7 ssl_transport_security.cc:1654] Handshake failed with fatal error SSL_ERROR_SSL: "
        b"error:1000007d:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED: self-signed\n"
    )
    assert reason(line) == "CERTIFICATE_VERIFY_FAILED"


def test_an_unknown_line_is_kept_as_it_is() -> None:
    assert reason(b"Handshake failed somehow\n") == "Handshake failed somehow"


_FAILED = (
    b"E0000 00:00:1732377.1 7 ssl_transport_security.cc:1654] Handshake failed with fatal error SSL_ERROR_SSL: "
    b"error:1000007d:SSL routines:OPENSSL_internal:%s\n"
)


def test_a_thousand_failed_handshakes_a_second_add_up(tmp_path: Path) -> None:
    """An hour of them, with a hundred reasons and the program's own words between."""
    now, passed = 0.0, list[bytes]()
    log = EventLog(tmp_path / "events.jsonl", run="r", site="aggregator")
    listener = Listener(log, passed.append, lambda: now)
    count, own = 36_000, 0
    for number in range(count):  # as few as a hundredth: what is written does not depend on it
        now = number / 10
        listener.take(_FAILED % (b"CERTIFICATE_VERIFY_FAILED" if number % 2 else b"WRONG_VERSION_%d" % (number % 97)))
        if number % 100 == 0:
            own += 1
            listener.take(b"2026 INFO fedmol.aggregator: round 1\n")
    now += 60
    listener.settle(everything=True)
    assert sum(event.body.times for event in logged(log.path, SiteRefused)) == count
    assert log.path.stat().st_size < 500_000
    assert sum(line.startswith(b"2026") for line in passed) == own
    assert len(passed) - own <= 61 * 6  # five a minute, and how many were left out
    assert sum(map(len, passed)) - own * 40 < 100_000


def test_a_full_disk_does_not_keep_standard_error_from_being_read(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl", run="r", site="aggregator")
    log.path.unlink()
    log.path.mkdir()
    passed = list[bytes]()
    Listener(log, passed.append).take(_FAILED % b"CERTIFICATE_VERIFY_FAILED")
    assert len(passed) == 1
