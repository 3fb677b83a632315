"""What an account keeps of the sections beside the model: who has which share in them, since when, and how far they go.

Such a section is a sum over all members, whether or not they count in a round: members have shares in it by what was
agreed. Where members or shares are not those of the round before, the sum is not of what it was, and all sections but
the model are 0 again from the next round on, which is then the first of the new members.

A change of a section is held to the members' own changes. With m_t the lower median of the sites' latest norms in
round t, the update of a site does not count when the norm of its change is above

    ratio sum_t max(m_t, gradient / sqrt(steps))

where the sum is over the rounds since the site counted last, this one included: a site that was away may have come as
far as the others have in steps. The second term, for the largest `gradient` that the optimiser sees, is what means
over a round's steps differ by where the steps are unrelated: nobody can lower the limit below that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from fedmol.fl.checkpoints import Checkpoint
from fedmol.fl.payload import MODEL, Payload
from fedmol.fl.update_norms import Reach, lower_median
from fedmol.telemetry.events.field_types import known
from fedmol.telemetry.events.round_events import SectionChanges

Norms = Mapping[str, Mapping[str, float]]  # of a round's changes, by site and section


@dataclass(frozen=True)
class Changes:
    """How far one section was changed in the rounds of the present members."""

    norms: dict[str, float] = field(default_factory=dict)  # of each site's last change that counted
    total: float = 0.0  # sum over the rounds, see above
    before: dict[str, float] = field(default_factory=dict)  # that sum when the site counted last, 0 where it has not

    @classmethod
    def of(cls, said: SectionChanges | None) -> Changes:
        """As an account says; none where it says nothing of the section."""
        return cls() if said is None else cls(known(said.norms), said.total or 0.0, known(said.before))

    def with_round(self, norms: Mapping[str, float], sites: Collection[str], reach: Reach) -> Changes:
        """With a round in which `sites` are the members, and those in `norms` have reported."""
        known = {site: norm for site, norm in self.norms.items() if site in sites} | dict(norms)
        return replace(self, total=self.total + max(lower_median(known.values()), reach.gradient / reach.steps**0.5))

    def limit(self, site: str, ratio: float) -> float:
        """The limit on the norm of the site's change in the round that was added last."""
        return ratio * (self.total - self.before.get(site, 0.0))

    def counting(self, norms: Mapping[str, float]) -> Changes:
        """With the norms of the sites that count in the round."""
        return replace(self, norms=self.norms | dict(norms), before=self.before | dict.fromkeys(norms, self.total))


@dataclass(frozen=True)
class TooLong:
    """A change that does not count."""

    section: str
    norm: float
    limit: float


@dataclass(frozen=True)
class OtherSections:
    """The entries of an account that are about the sections beside the model; none where there are no such sections."""

    shares: dict[str, float]  # of all members, by site; together they are 1
    members_since: int  # the first round of these members and shares
    changes: dict[str, Changes]  # by section

    @classmethod
    def of(cls, last: Checkpoint, payload: Payload, shares: Mapping[str, float]) -> OtherSections:
        """What the account of the round before says, where the members have `shares` now.

        Where those are others, `members_since` is the round after the one that is to be closed.
        """
        account = last.account
        changed = "shares" in account.model_fields_set and account.shares != shares
        since = last.round + 2 if changed else account.members_since
        names = [section.name for section in payload.sections if section.name != MODEL]
        return cls(dict(shares), since, {name: Changes.of(account.changes.get(name)) for name in names})

    def with_round(self, norms: Norms, reach: Reach) -> OtherSections:
        """With the round in which the sites in `norms` have reported."""
        added = {
            name: changes.with_round({site: norm[name] for site, norm in norms.items()}, self.shares, reach)
            for name, changes in self.changes.items()
        }
        return replace(self, changes=added)

    def too_long(self, norms: Norms, ratio: float) -> dict[str, TooLong]:
        """The sites whose changes in the round that was added last do not count."""
        return {
            site: TooLong(name, norms[site][name], limit)
            for name, changes in self.changes.items()
            for site in norms
            if not norms[site][name] <= (limit := changes.limit(site, ratio))
        }

    def entries(self, round: int, counted: Norms) -> dict[str, Any]:
        """What the account of `round` says, in which the sites in `counted` count."""
        if not self.changes:
            return {}
        fresh = self.members_since == round + 1
        changes = {
            name: Changes() if fresh else change.counting({site: norms[name] for site, norms in counted.items()})
            for name, change in self.changes.items()
        }
        return {
            "shares": self.shares,
            "members_since": self.members_since,
            "changes": {name: SectionChanges(**asdict(change)) for name, change in changes.items()},
        }
