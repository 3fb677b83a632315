from __future__ import annotations

from fedmol_aggregator.handshakes import reason


def test_the_reason_is_read_from_a_line_of_grpc() -> None:
    line = (
        b"E0000 00:00:1732377.1 7 ssl_transport_security.cc:1654] Handshake failed with fatal error SSL_ERROR_SSL: "
        b"error:1000007d:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED: self-signed\n"
    )
    assert reason(line) == "CERTIFICATE_VERIFY_FAILED"


def test_an_unknown_line_is_kept_as_it_is() -> None:
    assert reason(b"Handshake failed somehow\n") == "Handshake failed somehow"
