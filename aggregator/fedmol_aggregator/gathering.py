"""Before round 1: who may join, and the agreement that the federation settles on.

The noise model's marginals come from the sum of the sites' histograms; no site sees another's, and the sum is fixed
for the whole run, also over restarts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fedmol import files
from fedmol.chem.vocabulary import Vocabulary
from fedmol.diffusion.census import Census
from fedmol.errors import Exit, FedmolError
from fedmol.events import EventLog, read
from fedmol.federation.identity import model_code_digest, peer_name, settings_differences, shared_settings
from fedmol.federation.messages import Agreement, Joining
from fedmol.federation.settings import Settings

_LARGEST_AGREEMENT = 16 * 2**20  # bytes


class Roster:
    """Whom this run lets in."""

    def __init__(self, settings: Settings, run: str, vocabulary: Vocabulary, manifest: str, payload: str) -> None:
        self.run = run
        self.expect(settings.site_names, ())
        self.expected: dict[str, Any] = {
            "model_code": model_code_digest(),
            "vocabulary": vocabulary.digest(),
            "settings": shared_settings(settings),
            "manifest": manifest,
            "payload": payload,
        }

    def expect(self, sites: Collection[str], removed: Collection[str]) -> None:
        """From now on these are the sites. Who has been removed is told so."""
        self.site_of = {peer_name(site): site for site in sorted(sites)}
        self.removed = frozenset(removed)

    def member(self, common_name: str | None) -> str:
        """The site that a certificate is for. Raises FedmolError CERTIFICATE_NAME when it is for none of ours."""
        if common_name in self.removed:
            raise FedmolError(
                Exit.REMOVED,
                f"the coordinator has removed site {common_name!r} from the run",
                "ask the coordinator, who can add the site again",
            )
        if common_name is None or common_name not in self.site_of.values():
            raise FedmolError(
                Exit.CERTIFICATE_NAME,
                f"the certificate names {(common_name or 'nobody')[:64]!r}, which is not a site of this federation",
                "use a certificate whose common name is the site's name in federation.yaml",
            )
        return common_name

    def check_peer(self, site: str, peer: str) -> None:
        """Raises FedmolError CERTIFICATE_OF_ANOTHER_SITE when the caller says that it is another site."""
        said = self.site_of.get(peer)
        if said != site:
            raise FedmolError(
                Exit.CERTIFICATE_OF_ANOTHER_SITE,
                f"the certificate is that of site {site!r}, but the caller says it is {said or 'unknown'!r}",
                "start each site with its own certificate folder",
            )

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
        if joining.payload != self.expected["payload"]:
            raise FedmolError(
                Exit.MODEL_DIFFERS,
                "the site would send other sections than the aggregator expects",
                "install the same version of fedmol on both sides",
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
        self.agreement = _recall(path, events)
        self._lock = threading.Lock()

    def join(self, site: str, joining: Joining) -> Agreement | None:
        """Take a site in, under the name that its certificate proves.

        The answer is the agreement, or None as long as others are awaited.
        """
        with self._lock:
            if joining.census is not None and site not in self.joined:
                self.joined[site] = joining
                self.events.write("site_joined", site=site, molecules=joining.molecules, census=joining.census)
                self._take_in_late(site, joining)
            return self._settle()

    def expect(self, settings: Settings) -> None:
        """From now on these are the sites, the quorum and the deadline."""
        with self._lock:
            self.settings = settings

    def molecules(self) -> dict[str, int]:
        """Each site's molecules as agreed, from which the weights of its updates come; empty before the agreement."""
        return {} if self.agreement is None else self.agreement.molecules

    def overdue(self) -> bool:
        """The joining deadline has passed without a quorum."""
        late = self.clock() - self.opened > self.settings.rounds.join_deadline
        return self.agreement is None and late and len(self.joined) < self.settings.quorum

    def _settle(self) -> Agreement | None:
        members = {site: one for site, one in sorted(self.joined.items()) if site in self.settings.site_names}
        everyone = len(members) == len(self.settings.sites)
        late = self.clock() - self.opened > self.settings.rounds.join_deadline
        if self.agreement is None and (everyone or (late and len(members) >= self.settings.quorum)):
            self._agree_on(_agree(self.settings, members))
        return self.agreement

    def _take_in_late(self, site: str, joining: Joining) -> None:
        """A site that came after the agreement trains with it as it is; only its molecules are new, for its weight."""
        agreed = self.agreement
        if agreed is not None and site not in agreed.molecules:
            everyone = dict(sorted({**agreed.molecules, site: joining.molecules}.items()))
            self._agree_on(agreed.model_copy(update={"molecules": everyone}))

    def _agree_on(self, agreement: Agreement) -> None:
        files.write_text(self.path, agreement.model_dump_json(indent=1))
        self.events.write("agreement", **describe(agreement))
        self.agreement = agreement


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


def _recall(path: Path, events: EventLog) -> Agreement | None:
    """The agreement of an earlier start, which the event log has, too."""
    logged = None
    for event in read(events.path):
        if event.kind == "agreement":
            logged = {key: event.fields[key] for key in Agreement.model_fields}
    said = None if logged is None else Agreement.model_validate(logged)
    kept = _read(path)
    if kept is None and (said is not None or path.exists()):
        if said is None:
            raise _unusable(path, "cannot be read, and the event log has no agreement")
        events.write("state_damaged", file=str(path), detail="it is missing or cannot be read")
        files.write_text(path, said.model_dump_json(indent=1))
        events.write("state_rebuilt", file=str(path))
        return said
    if kept is not None and said is not None and kept != said and not _extends(kept, said):
        raise _unusable(path, "is another agreement than the event log has")
    return kept


def _extends(kept: Agreement, said: Agreement) -> bool:
    """Whether the file is one site ahead of the log, as when the process ended between the two."""
    both = kept.model_copy(update={"molecules": said.molecules})
    return both == said and said.molecules.items() < kept.molecules.items()


def _read(path: Path) -> Agreement | None:
    try:
        if path.stat().st_size > _LARGEST_AGREEMENT:
            return None
        return Agreement.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _unusable(path: Path, what: str) -> FedmolError:
    return FedmolError(
        Exit.STATE_UNUSABLE, f"{path} {what}", "restore the working folder from a backup, or start a new run"
    )
