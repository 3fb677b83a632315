"""A certificate that is renewed in mid-run is shown before the old one expires."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from fedmol.fl.federation import Settings
from fedmol.pki import certificates
from fedmol.pki.certificate_info import describe
from fedmol.pki.certificates import CertificateFiles
from fedmol.telemetry.events.round_events import RoundStarted
from fedmol.telemetry.events.site_events import SiteRefused
from tests.support.stage import Stage, small_settings

VALIDITY = timedelta(seconds=20)


def test_a_site_shows_its_renewed_certificate_before_the_old_one_expires(stage: Callable[[Settings], Stage]) -> None:
    run = stage(small_settings())
    shown = run.folder / "certs" / "site-west"

    def issue(validity: timedelta) -> None:
        """The key first: from the moment in which the certificate is there, both belong together."""
        made = CertificateFiles.in_folder(run.folder / f"west-{validity.total_seconds():.0f}")
        certificates.issue_site(run.folder / "certs" / "authority", made.ca.parent, "west", validity)
        os.replace(made.key, shown / "party.key")
        os.replace(made.certificate, shown / "party.crt")

    issue(VALIDITY)
    expiry = describe(shown / "party.crt").not_after
    run.start()
    run.wait_for(RoundStarted, lambda event: event.round == 2)
    run.signal("model", signal.SIGSTOP)  # the round waits, and west tells every second that it does
    issue(timedelta(days=1))
    time.sleep(max(0.0, (expiry - datetime.now(UTC)).total_seconds()) + 2.0)
    run.signal("model", signal.SIGCONT)
    assert {name: run.wait(name) for name in run.parties} == dict.fromkeys(run.parties, 0), run.log("west")
    assert run.events(SiteRefused) == []
