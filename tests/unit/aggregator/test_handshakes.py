from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fedmol_aggregator.handshakes import reason

_SPEAKER = """
import sys
from pathlib import Path
from fedmol.events import EventLog
from fedmol_aggregator import handshakes
pump, handshakes._pump = handshakes._pump, lambda *given: (__import__("time").sleep(0.5), pump(*given))
handshakes.watch_stderr(EventLog(Path(sys.argv[1]), run="run", site="aggregator"))
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
