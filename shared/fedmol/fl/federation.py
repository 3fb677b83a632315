"""federation.yaml: the one description of a federation, parsed once into frozen, closed models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, field_validator, model_validator

from fedmol.closed import Closed
from fedmol.errors import Exit, FedmolError
from fedmol.fl import local_methods, strategies
from fedmol.fl.local_methods import AnyLocalMethod, Plain
from fedmol.fl.strategies import AnyStrategy, FedAvg
from fedmol.names import SiteName
from fedmol.settings import (
    LARGEST_SEED,
    DataSettings,
    EvaluationSettings,
    ModelSettings,
    NetworkSettings,
    RoundSettings,
    TrainingSettings,
)
from fedmol.settings_errors import checked, read_settings


class Site(Closed):
    name: SiteName


class Settings(Closed):
    """A whole federation. Everything has a default but the sites."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,38}$")] = "fedmol"
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED)] = 0
    strategy: AnyStrategy = FedAvg()
    local_method: AnyLocalMethod = Plain()
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()
    rounds: RoundSettings = RoundSettings()
    network: NetworkSettings = NetworkSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    sites: Annotated[tuple[Site, ...], Field(min_length=1)]

    @field_validator("strategy", "local_method", mode="before")
    @classmethod
    def _named(cls, algorithm: Any) -> Any:
        """What is said by its name alone has its default settings."""
        return {"name": algorithm} if isinstance(algorithm, str) else algorithm

    @field_validator("sites")
    @classmethod
    def _unique_names(cls, sites: tuple[Site, ...]) -> tuple[Site, ...]:
        names = [site.name for site in sites]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"site names must be unique, found twice: {', '.join(twice)}")
        return sites

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.rounds.quorum is not None and self.rounds.quorum > len(self.sites):
            raise ValueError(f"rounds.quorum is {self.rounds.quorum}, but there are only {len(self.sites)} sites")
        halves = {"strategy": self.strategy.name, "local_method": self.local_method.name}
        for name in strategies.NAMES & local_methods.NAMES & set(halves.values()):
            if set(halves.values()) != {name}:
                said = ", and ".join(f"{entry} is {chosen}" for entry, chosen in halves.items())
                raise ValueError(f"{name} needs both, strategy: {name} and local_method: {name}, but {said}")
        sizes = getattr(self.data.split, "sizes", None)
        if sizes is not None and len(sizes) != len(self.sites):
            raise ValueError(f"data.split.sizes has {len(sizes)} entries for {len(self.sites)} sites")
        return self

    @property
    def site_names(self) -> list[str]:
        return [site.name for site in self.sites]

    @property
    def quorum(self) -> int:
        """The number of sites whose updates make a round count."""
        return self.rounds.quorum or len(self.sites)


def parse(document: Any, origin: str) -> Settings:
    """Settings from a parsed YAML document; `origin` names it in messages.

    Raises:
        FedmolError: BAD_SETTINGS, with every wrong entry by its dotted path.
    """
    if not isinstance(document, dict):
        raise FedmolError(
            Exit.BAD_SETTINGS,
            f"{origin} is not a mapping of settings",
            "start from the federation.yaml that ships with fedmol",
        )
    return checked(Settings, document, origin)


def load(path: Path, overrides: dict[str, Any] | None = None) -> Settings:
    """Settings from a YAML file, with `overrides` (dotted path -> value) laid over it."""
    document = read_settings(path, "name one with --settings")
    for dotted, value in (overrides or {}).items():
        _lay_over(document, dotted, value)
    given = ", ".join(f"{dotted}={value}" for dotted, value in (overrides or {}).items())
    return parse(document, f"{path} with {given}" if given else str(path))


def _lay_over(document: Any, dotted: str, value: Any) -> None:
    *parents, leaf = dotted.split(".")
    section = document
    for key in parents:
        section = section.setdefault(key, {}) if isinstance(section, dict) else None
    if not isinstance(section, dict):
        raise FedmolError(
            Exit.BAD_SETTINGS,
            f"{dotted} cannot be set: {'.'.join(parents) or 'the file'} is not a section",
            "name an entry of a section, such as training.rounds",
        )
    section[leaf] = value


def require_address(settings: Settings, origin: Path) -> None:
    """Port 0 is for `fedmol run`, which picks one: parties that meet must know it beforehand."""
    if settings.network.port == 0:
        raise FedmolError(
            Exit.BAD_SETTINGS,
            f"{origin}: network.port is not set",
            "set network.address and network.port to where the aggregator is reached, the same for every party",
        )


def dump(settings: Settings) -> str:
    """The settings as YAML, every default spelled out."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)
