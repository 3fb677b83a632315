"""Names and digests by which the parties of a federation recognise one another."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from fedmol.fl.federation import Settings
from fedmol.settings import DataSettings

_CODING = "model.vocabulary", "data.standardise"
_OWN = ("device", "processes", "threads", "execution")


def peer_name(site: str) -> str:
    """The name under which a site is known to OpenFL.

    OpenFL mixes its names into the tags of tensors and sorts them, so that a site called `model` or `west` would break
    its look-ups. A hash carries no meaning for it whatever the site is called.
    """
    return "c-" + hashlib.sha256(site.encode()).hexdigest()[:16]


def aggregator_name(run: str) -> str:
    """The aggregator's name in OpenFL, whose tensor codec asks for the word in it."""
    return f"aggregator_{run}"


def digest(document: Any) -> str:
    """SHA-256 of a JSON document, independent of the order of its keys."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def shared_settings(settings: Settings) -> dict[str, Any]:
    """The settings in which all parties must agree, by dotted path; on what they compute is each one's own affair."""
    document = settings.model_dump(mode="json", include={"seed", "strategy", "local_method", "model", "training"})
    own = settings.model.vocabulary
    if not isinstance(own, str):
        del document["model"]["vocabulary"]
        said = {"name": own.name, "atoms": " ".join(own.atoms), "max_atoms": own.max_atoms}
        document["model"] |= {f"vocabulary.{entry}": value for entry, value in said.items()}
    document["training"] = {key: value for key, value in document["training"].items() if key not in _OWN}
    flat: dict[str, Any] = {}
    for name, value in (("least_count", settings.data.least_count), ("standardise", settings.data.standardise)):
        if (
            value != DataSettings.model_fields[name].default
        ):  # parties that do not know it do as those that leave it out
            flat[f"data.{name}"] = value
    for key, value in document.items():
        flat |= {f"{key}.{leaf}": v for leaf, v in value.items()} if isinstance(value, dict) else {key: value}
    return flat


def coding_differences(federation: dict[str, Any], site: dict[str, Any]) -> str:
    """In which settings a site differs whose molecules would become other graphs."""
    ours, theirs = ({k: v for k, v in settings.items() if k.startswith(_CODING)} for settings in (federation, site))
    said = "; ".join(settings_differences(ours, theirs))
    return (
        f"the site's molecules would become other graphs: {said or 'its settings are the same, its programs are not'}"
    )


def settings_differences(federation: dict[str, Any], site: dict[str, Any]) -> list[str]:
    """One phrase per entry in which a site's shared settings are not the federation's."""
    return [
        f"{key} is {site.get(key)!r}, the federation has {federation.get(key)!r}"
        for key in sorted(federation.keys() | site.keys())
        if federation.get(key) != site.get(key)
    ]


def stream_seed(*parts: object) -> int:
    """A 63-bit seed for the random stream named by `parts`, such as (seed, site, round)."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1
