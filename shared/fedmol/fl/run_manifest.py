"""What a run is bound to from its first to its last round: its settings, as far as they decide what comes out.

Where a party keeps its files, how it is reached, and on what it computes may change at any start. Everything else is in
the manifest: the aggregator's event log begins with it, and sites are told it when they join. Some of it may be changed
while the run goes on, see `fedmol.fl.changes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from fedmol.errors import Exit, FedmolError
from fedmol.fl.federation import Settings
from fedmol.fl.identity import digest, shared_settings

Manifest = dict[str, Any]

_FREE = {"keep_checkpoints", "farewell"}  # of the section `rounds`: what they decide is the aggregator's own affair


def manifest_of(run: str, settings: Settings) -> Manifest:
    """The manifest as JSON: entries by their dotted paths, the sites, and the run's id."""
    rounds = settings.rounds.model_dump(mode="json", exclude=_FREE)
    return {
        "run": run,
        "sites": sorted(settings.site_names),
        **shared_settings(settings),
        **{f"rounds.{key}": value for key, value in rounds.items()},
    }


def manifest_digest(manifest: Manifest) -> str:
    """SHA-256: equal digests mean runs with equal results from equal molecules."""
    return digest(manifest)


def settings_of(manifest: Manifest) -> Settings:
    """The settings that the manifest was made of; entries that are not in it have their defaults.

    Raises:
        FedmolError: STATE_UNUSABLE when it is no manifest of a run.
    """
    document: dict[str, Any] = {}
    try:
        for path, value in manifest.items():
            *sections, entry = path.split(".")
            place = document
            for section in sections:
                place = place.setdefault(section, {})
            if path not in ("run", "sites"):
                place[entry] = value
        settings = Settings.model_validate({**document, "sites": [{"name": name} for name in manifest["sites"]]})
        if manifest_of(str(manifest["run"]), settings) == manifest:
            return settings
        what = "entries are missing, or are not settings"
    except (ValidationError, KeyError, TypeError, AttributeError) as error:
        what = str(error)[:200]
    raise FedmolError(
        Exit.STATE_UNUSABLE,
        f"what the run is said to be bound to is not a federation: {what}",
        "restore the event log from a backup, and run the same version of fedmol on both sides",
    )


def differences(bound: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """One phrase for each entry in which `given` is not what the run is bound to."""
    return [
        f"{key} is {given.get(key)!r}, the run has {bound.get(key)!r}"
        for key in sorted(bound.keys() | given.keys())
        if bound.get(key) != given.get(key)
    ]
