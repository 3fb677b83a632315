"""Who may join, and when the federation settles on its agreement.

The noise model's marginals come from the sum of the sites' histograms; no site sees another's, and the sum is fixed
for the whole run, also over restarts.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from fedmol.chem.standardise import coding_digest, same_coding
from fedmol.chem.vocabulary import Vocabulary
from fedmol.errors import Exit, FedmolError
from fedmol.fl.count_checks import check_counts, check_room
from fedmol.fl.federation import Settings
from fedmol.fl.identity import coding_differences, peer_name, settings_differences, shared_settings
from fedmol.fl.messages import Agreement, Counts, Joining
from fedmol.fl.versions import SEMANTICS, check_semantics
from fedmol.telemetry.events.site_events import Histograms, SiteJoined
from fedmol.telemetry.log import EventLog
from fedmol.training.assembly import vocabulary_of
from fedmol_aggregator.agreement import agree, check_speed, keep, recall

_MOST_JOINS = 16  # of one site, with other counts each time


class Roster:
    """Whom this run lets in."""

    def __init__(self, settings: Settings, run: str, vocabulary: Vocabulary, manifest: str, payload: str) -> None:
        self.run = run
        self.expect(settings.site_names, ())
        self.vocabulary, self.least_count = vocabulary, settings.data.least_count
        self.expected: dict[str, Any] = {
            "semantics": SEMANTICS,
            "vocabulary": coding_digest(vocabulary),
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
            FedmolError: UNKNOWN_RUN, MODEL_DIFFERS, VOCABULARY_DIFFERS, BAD_SETTINGS or MESSAGE_REFUSED.
        """
        self.check_run(joining.run)
        check_semantics(joining.semantics, "the site")
        if joining.vocabulary != self.expected["vocabulary"]:
            raise FedmolError(
                Exit.VOCABULARY_DIFFERS,
                coding_differences(self.expected["settings"], joining.settings),
                same_coding(self.vocabulary.name, self.vocabulary.recipe),
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
        if joining.counts is not None:
            check_counts(joining.counts, self.vocabulary, self.least_count)


def _compare_settings(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    wrong = settings_differences(ours, theirs)
    if wrong:
        raise FedmolError(
            Exit.BAD_SETTINGS,
            f"the site's settings differ: {'; '.join(wrong)}",
            "use the coordinator's federation.yaml",
        )


class Enrollment:
    """Collects the sites that have joined and settles the agreement once."""

    def __init__(
        self, settings: Settings, path: Path, events: EventLog, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.settings, self.path, self.events, self.clock = settings, path, events, clock
        self._training = settings.training  # by which steps are agreed, however long the run becomes
        self.accepted: Collection[str] = ()
        self.on_other_shard: Callable[[str], None] = lambda _: None  # told of a site that came back with another one
        self.opened = clock()
        self.joined: dict[str, Counts] = {}
        self.agreement = recall(path, events)
        self._joins: Counter[str] = Counter()
        self._lock = threading.Lock()

    def join(self, site: str, joining: Joining) -> Agreement | None:
        """Take a site in, under the name that its certificate proves.

        The answer is the agreement, or None as long as others are awaited.

        Raises:
            FedmolError: SHARD_CHANGED, VOCABULARY_DIFFERS, or because of its speed; nothing has changed then.
        """
        with self._lock:
            before = {} if self.agreement is None else self.agreement.shards
            if joining.counts is not None and joining.counts != self.joined.get(site):
                self._take_in(site, joining.counts)
            agreed = self._settle()
            other = agreed is not None and before.get(site, agreed.shards.get(site)) != agreed.shards.get(site)
        if other:
            self.on_other_shard(site)
        return agreed

    def expect(self, settings: Settings, accepted: Collection[str] = ()) -> None:
        """From now on these are the sites, the quorum and the deadline; those in `accepted` may bring another shard."""
        with self._lock:
            self.settings, self.accepted = settings, accepted

    def molecules(self) -> dict[str, int]:
        """Each site's molecules as agreed, from which the weights of its updates come; empty before the agreement."""
        return {} if self.agreement is None else self.agreement.molecules

    def overdue(self) -> bool:
        """The joining deadline has passed without a quorum."""
        late = self.clock() - self.opened > self.settings.rounds.join_deadline
        return self.agreement is None and late and len(self._members()) < self.settings.quorum

    def _members(self) -> dict[str, Counts]:
        """Who has joined, but for sites that were removed since, or are to come later; by name."""
        return {site: joined for site, joined in sorted(self.joined.items()) if site in self.settings.site_names}

    def _take_in(self, site: str, counts: Counts) -> None:
        """Before the agreement a site's newest counts are what it brings; after it, they have to fit."""
        agreed = self.agreement
        back = agreed is not None and (agreed.shards.get(site), agreed.molecules.get(site)) == _shard(counts)
        if back and site in self.joined:
            return  # it may be faster or slower than before, which changes nothing any more
        if not back:
            check_speed(self._training, counts)
        if self._joins[site] == _MOST_JOINS:
            raise FedmolError(
                Exit.SHARD_CHANGED,
                f"{site} has joined {_MOST_JOINS} times with other counts each time",
                "start the site with one shard; if each was meant, have the coordinator restart the aggregator",
            )
        amended = None if agreed is None else self._amended(agreed, site, counts)
        self._joins[site] += 1
        self.joined[site] = counts
        census = Histograms(**counts.census.model_dump(mode="json"))
        self.events.write(SiteJoined(molecules=counts.molecules, census=census), site=site)
        if amended is not None and amended != agreed:
            self._agree_on(amended)

    def _amended(self, agreed: Agreement, site: str, counts: Counts) -> Agreement:
        """The agreement with the site in it: what all train with stays, only the site's molecules and shard are new."""
        shard, molecules = agreed.shards.get(site), agreed.molecules.get(site)
        if _shard(counts) == (shard, molecules):
            return agreed
        if shard is not None and site not in self.accepted:
            raise FedmolError(
                Exit.SHARD_CHANGED,
                f"{site} takes part in this run with another shard: it began with {molecules} molecules for training, "
                f"and comes back with {counts.molecules}, of digest {counts.shard[:12]}",
                "start the site with the file it began with; if the new one is meant, ask the coordinator to accept it",
            )
        check_room(agreed.census, counts.census, vocabulary_of(self.settings))
        new = {
            "molecules": dict(sorted({**agreed.molecules, site: counts.molecules}.items())),
            "shards": dict(sorted({**agreed.shards, site: counts.shard}.items())),
        }
        return agreed.model_copy(update=new)

    def _settle(self) -> Agreement | None:
        members = self._members()
        everyone = len(members) == len(self.settings.sites)
        late = self.clock() - self.opened > self.settings.rounds.join_deadline
        if self.agreement is None and (everyone or (late and len(members) >= self.settings.quorum)):
            self._agree_on(agree(self._training, members))
        return self.agreement

    def _agree_on(self, agreement: Agreement) -> None:
        keep(self.path, agreement, self.events)
        self.agreement = agreement


def _shard(counts: Counts) -> tuple[str, int]:
    return counts.shard, counts.molecules
