"""federation.yaml: the one description of a federation, parsed once into frozen, closed models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, field_validator, model_validator

from fedmol.chem.vocabulary import Recipe
from fedmol.closed import Closed
from fedmol.errors import Exit, FedmolError
from fedmol.federation.hosts import NO_HOST, host_like
from fedmol.federation.names import SiteName
from fedmol.federation.own_vocabulary import AnyVocabulary
from fedmol.federation.settings_errors import checked, read_settings
from fedmol.fl.local_methods import AnyLocalMethod, Plain
from fedmol.fl.strategies import AnyStrategy, FedAvg

LARGEST_SEED = 2**63 - 1  # that torch takes
MOST_THREADS = 1024  # of a process; far more end it

Seconds = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]
ExecutionName = Literal["auto", "eager", "compiled", "graphs", "compiled-graphs"]  # see fedmol.execution


class Iid(Closed):
    kind: Literal["iid"] = "iid"


class Uneven(Closed):
    """IID shards whose sizes follow `sizes`, one relative weight per site."""

    kind: Literal["uneven"]
    sizes: tuple[Annotated[float, Field(gt=0)], ...]


class Scaffold(Closed):
    """Whole Murcko scaffolds go to one site; `sizes` as for `uneven`, equal when left out."""

    kind: Literal["scaffold"]
    sizes: tuple[Annotated[float, Field(gt=0)], ...] | None = None


class Dirichlet(Closed):
    """Each scaffold group is spread over the sites by a Dirichlet draw; small `alpha` means very different sites.

    An infinite `alpha` (`.inf` in YAML) means an even split.
    """

    kind: Literal["dirichlet"]
    alpha: Annotated[float, Field(gt=0, allow_inf_nan=True)]


Split = Annotated[Iid | Uneven | Scaffold | Dirichlet, Field(discriminator="kind")]


class DataSettings(Closed):
    """What `fedmol run` deals out to the sites it plays; real sites bring their own file.

    `standardise` and `least_count` are for all sites. By the recipe `parent` the same substance is the same graph at
    each, see `fedmol.chem.standardise`. With `least_count` each raises the smaller counts of its census to it before
    they leave, see `fedmol.diffusion.census.Census.raised`. It changes the noise, and so the model.
    """

    source: str = "embedded"  # "embedded", "qm9" or the path of a file of molecules
    column: str = "smiles"
    limit: Annotated[int, Field(gt=0)] | None = None
    standardise: Recipe = "none"
    split: Split = Iid()
    test_share: Share = 0.1
    validation_share: Share = 0.05
    least_count: Annotated[int, Field(ge=0, le=1000)] = 0  # 0: the counts leave as they are


class ModelSettings(Closed):
    preset: str = "small"
    vocabulary: AnyVocabulary = "qm9-charged"
    layers: Annotated[int, Field(gt=0)] | None = None


class TrainingSettings(Closed):
    """`rounds` times `local_steps` gradient steps per site.

    With `budget_minutes` the steps are fitted to that time on the slowest site, which counts as at most four times
    slower than the lower median of all sites. A site that is slower still needs more time than the budget; the others
    make no fewer steps because of it.
    """

    rounds: Annotated[int, Field(gt=0)] = 8
    local_steps: Annotated[int, Field(gt=0)] = 60
    budget_minutes: Annotated[float, Field(gt=0)] | None = None
    batch_size: Annotated[int, Field(gt=0)] = 128
    optimizer: Literal["muon", "adamw"] = "muon"
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    warmup_share: Annotated[float, Field(ge=0, lt=1)] = 0.05
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    clip_norm: Annotated[float, Field(gt=0)] = 1.0
    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto: the GPU where there is one
    processes: Annotated[int, Field(gt=0)] | Literal["auto"] = 1  # that share a site's batches; auto: one per GPU
    threads: Annotated[int, Field(gt=0, le=MOST_THREADS)] = 1  # of each process
    execution: ExecutionName = "auto"  # how steps reach a GPU: kernel by kernel, compiled, or captured as CUDA graphs
    validation_molecules: Annotated[int, Field(gt=0)] = 512


class RoundSettings(Closed):
    """When a round, and the run, may go on without somebody."""

    quorum: Annotated[int, Field(gt=0)] | None = None  # every site when left out
    join_deadline: Seconds = 120.0
    deadline: Seconds = 1800.0
    grace: Seconds | None = None  # for those still missing once the quorum has reported; as long again when left out
    lost_after: Seconds = 60.0
    farewell: Seconds = 600.0  # that a finished run is served for sites that do not hold the model yet
    max_update_norm_ratio: Annotated[float, Field(ge=1)] = 3.0  # against the sites' median, see fedmol.fl.norms
    max_share: Annotated[float, Field(gt=0, le=1)] | None = None  # of one site's weight; its molecules' when left out
    keep_checkpoints: Annotated[int, Field(gt=0)] = 3


Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:\[\]-]{1,253}$")]  # a name or an address


class NetworkSettings(Closed):
    address: Host = "localhost"
    listen: Host = "[::]"  # the aggregator's interface; `fedmol run` keeps to the loopback
    port: Annotated[int, Field(ge=0, lt=65536)] = 0  # 0: `fedmol run` picks a free one
    call_deadline: Seconds = 120.0
    give_up_after: Seconds = 600.0

    @field_validator("address")
    @classmethod
    def _without_port(cls, address: str) -> str:
        if address.count(":") == 1 or address.endswith(":") or "]:" in address:
            raise ValueError(f"{address!r} is {NO_HOST} {host_like(address)}")
        return address.removeprefix("[").removesuffix("]")


class EvaluationSettings(Closed):
    samples: Annotated[int, Field(gt=0)] = 512
    sampler: str = "few-step"  # or "ancestral": the reference's, for published comparisons
    sampling_steps: Annotated[int, Field(gt=0)] | None = None  # the sampler's own when left out
    nll_molecules: Annotated[int, Field(gt=0)] = 2048


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
        scaffold = {"strategy": self.strategy.name, "local_method": self.local_method.name}
        if list(scaffold.values()).count("scaffold") == 1:
            said = ", and ".join(f"{entry} is {name}" for entry, name in scaffold.items())
            raise ValueError(f"scaffold needs both, strategy: scaffold and local_method: scaffold, but {said}")
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
