"""Play a prepared federation to its end: start the parties, show what happens, bring killed ones back."""

from __future__ import annotations

import time

from fedmol.errors import Exit, FedmolError
from fedmol.fl.federation import Settings
from fedmol.local.display import Display
from fedmol.local.processes import Party, parties, stop, stop_leftovers
from fedmol.run_folder import RunFolder
from fedmol.telemetry.log import Follower

_LOOK_EVERY = 0.2  # seconds
_FAREWELL = 20.0  # seconds for the sites to end by themselves


def run_federation(settings: Settings, run: str, folder: RunFolder, display: Display) -> None:
    """Returns when the aggregator has finished the run.

    Raises:
        FedmolError: with the aggregator's own exit code, or SITE_FAILED when too few sites are left for the quorum.
    """
    aggregator, *sites = cast = parties(settings, run, folder)
    follower, model = Follower(folder.aggregator.log), folder.aggregator.model
    display.follow(follower.new())  # what an earlier part of the run has shown already
    if model.exists():
        return
    if stop_leftovers(folder):
        display.note("stopped what an earlier, killed `fedmol run` had left running")
    try:
        for party in cast:
            party.start()
        while aggregator.code is None or _revived(aggregator, display):
            display.show(follower.new())
            for site in sites:
                _revived(site, display)
            if model.exists():
                if all(site.code is not None for site in sites):
                    break  # whoever has not got the model will not ask for it any more
            else:
                _check_quorum(settings, sites)
            time.sleep(_LOOK_EVERY)
        display.show(follower.new())
        if aggregator.code not in (0, None):
            raise failure(aggregator, Exit(aggregator.code) if aggregator.code in set(Exit) else Exit.INTERNAL)
        _await(sites)
    finally:
        stop(cast)


def _revived(party: Party, display: Display) -> bool:
    if not party.revive():
        return False
    display.note(f"{party.name} was killed and has been started again")
    return True


def _check_quorum(settings: Settings, sites: list[Party]) -> None:
    failed = [site for site in sites if site.code is not None and site.code != 0]
    if len(sites) - len(failed) < settings.quorum:
        raise failure(failed[0], Exit.SITE_FAILED)


def failure(party: Party, exit: Exit) -> FedmolError:
    """What the party said last, with its cure: the party's own, where it has one, or its log."""
    what, _, said = party.last_words().removeprefix("error: ").partition("\n  cure: ")
    cure = said.partition("\n  see: ")[0]
    if "coordinator" in cure:
        cure += " (in a run on one machine, that is you)"
    log = f"its log is {party.log}"
    return FedmolError(
        exit, f"{party.name} ended with exit code {party.code}: {what}", f"{cure}; {log}" if cure else f"look: {log}"
    )


def _await(sites: list[Party]) -> None:
    until = time.monotonic() + _FAREWELL
    while time.monotonic() < until and any(site.code is None for site in sites):
        time.sleep(_LOOK_EVERY)
