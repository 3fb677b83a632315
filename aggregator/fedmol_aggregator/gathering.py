"""Before round 1: who may join, and the agreement that the federation settles on.

The noise model's marginals come from the sum of the sites' histograms; no site sees another's, and the sum is fixed
for the whole run, also over restarts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fedmol import files
from fedmol.chem.vocabulary import Vocabulary
from fedmol.diffusion.census import Census
from fedmol.errors import Exit, FedmolError
from fedmol.events import EventLog
from fedmol.federation.identity import model_code_digest, peer_name, settings_differences, shared_settings
from fedmol.federation.messages import Agreement, Joining
from fedmol.federation.settings import Settings


class Roster:
    """Whom this run lets in."""

    def __init__(self, settings: Settings, run: str, vocabulary: Vocabulary, manifest: str) -> None:
        self.run = run
        self.site_of = {peer_name(site): site for site in settings.site_names}
        self.expected: dict[str, Any] = {
            "model_code": model_code_digest(),
            "vocabulary": vocabulary.digest(),
            "settings": shared_settings(settings),
            "manifest": manifest,
        }

    def identify(self, common_name: str | None, peer: str) -> str:
        """The site that calls, if its certificate says the same.

        Raises:
            FedmolError: CERTIFICATE_NAME or CERTIFICATE_OF_ANOTHER_SITE.
        """
        site = self.site_of.get(peer)
        if common_name not in self.site_of.values():
            raise FedmolError(
                Exit.CERTIFICATE_NAME,
                f"the certificate names {common_name or 'nobody'!r}, which is not a site of this federation",
                "use a certificate whose common name is the site's name in federation.yaml",
            )
        if site is None or site != common_name:
            raise FedmolError(
                Exit.CERTIFICATE_OF_ANOTHER_SITE,
                f"the certificate is that of site {common_name!r}, but the caller says it is {site or 'unknown'!r}",
                "start each site with its own certificate folder",
            )
        return site

    def check_run(self, run: str) -> None:
        if run != self.run:
            raise FedmolError(
                Exit.UNKNOWN_RUN,
                f"this aggregator serves run {self.run!r}, not {run!r}",
                "ask the coordinator for the run's id",
            )

    def examine(self, joining: Joining) -> None:
        """Refuse a site that would train something else.

        Raises:
            FedmolError: UNKNOWN_RUN, VOCABULARY_DIFFERS, MODEL_DIFFERS or BAD_SETTINGS.
        """
        self.check_run(joining.run)
        if joining.vocabulary != self.expected["vocabulary"]:
            raise FedmolError(
                Exit.VOCABULARY_DIFFERS,
                "the site's vocabulary of atoms and bonds differs from the federation's",
                f"set model.vocabulary to {self.expected['settings']['model.vocabulary']!r}, with the same fedmol",
            )
        if joining.model_code != self.expected["model_code"]:
            raise FedmolError(
                Exit.MODEL_DIFFERS,
                "the site's model code differs from the aggregator's "
                f"({joining.model_code[:12]} against {self.expected['model_code'][:12]})",
                "install the same version of fedmol on both sides",
            )
        _compare_settings(self.expected["settings"], joining.settings)
        if joining.manifest != self.expected["manifest"]:
            raise FedmolError(
                Exit.MODEL_DIFFERS,
                "the site's model has other tensors than the aggregator's",
                "use the same model settings",
            )


def _compare_settings(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    wrong = settings_differences(ours, theirs)
    if wrong:
        raise FedmolError(
            Exit.BAD_SETTINGS,
            f"the site's settings differ: {'; '.join(wrong)}",
            "use the coordinator's federation.yaml",
        )


class Gathering:
    """Collects the sites that have joined and settles the agreement once."""

    def __init__(
        self, settings: Settings, path: Path, events: EventLog, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.settings, self.path, self.events, self.clock = settings, path, events, clock
        self.opened = clock()
        self.joined: dict[str, Joining] = {}
        self.agreement = _recall(path)
        self._lock = threading.Lock()

    def join(self, site: str, joining: Joining) -> Agreement | None:
        """Take a site in, under the name that its certificate proves.

        The answer is the agreement, or None as long as others are awaited.
        """
        with self._lock:
            if joining.census is not None and site not in self.joined:
                self.joined[site] = joining
                self.events.write("site_joined", site=site, molecules=joining.molecules, census=joining.census)
            return self._settle()

    def overdue(self) -> bool:
        """The joining deadline has passed without a quorum."""
        late = self.clock() - self.opened > self.settings.rounds.join_deadline
        return self.agreement is None and late and len(self.joined) < self.settings.quorum

    def _settle(self) -> Agreement | None:
        everyone = len(self.joined) == len(self.settings.sites)
        late = self.clock() - self.opened > self.settings.rounds.join_deadline
        if self.agreement is None and (everyone or (late and len(self.joined) >= self.settings.quorum)):
            self.agreement = _agree(self.settings, dict(sorted(self.joined.items())))
            files.write_text(self.path, self.agreement.model_dump_json(indent=1))
            self.events.write("agreement", **describe(self.agreement))
        return self.agreement


def _agree(settings: Settings, joined: dict[str, Joining]) -> Agreement:
    first, *others = [Census.from_json(one.census) for one in joined.values() if one.census is not None]
    census = sum(others, start=first)
    steps = settings.training.local_steps
    if settings.training.budget_minutes is not None:
        slowest = max(one.seconds_per_step or 0.0 for one in joined.values())
        seconds = settings.training.budget_minutes * 60 / settings.training.rounds
        steps = max(1, int(seconds / max(slowest, 1e-6)))
    return Agreement(
        census=census.to_json(), molecules={site: one.molecules for site, one in joined.items()}, local_steps=steps
    )


def describe(agreement: Agreement) -> dict[str, Any]:
    """The agreement as the fields of its event."""
    total = sum(agreement.molecules.values())
    return {
        "molecules": agreement.molecules,
        "weights": {site: count / total for site, count in agreement.molecules.items()},
        "census": agreement.census,
        "local_steps": agreement.local_steps,
    }


def _recall(path: Path) -> Agreement | None:
    if not path.exists():
        return None
    try:
        return Agreement.model_validate_json(path.read_bytes())
    except ValidationError:
        raise FedmolError(
            Exit.STATE_UNUSABLE, f"{path} is not an agreement of this version", "start a new run, or restore the file"
        ) from None
