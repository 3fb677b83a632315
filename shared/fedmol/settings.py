"""The sections of federation.yaml, as frozen, closed models; `fedmol.fl.federation` has the whole of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from fedmol.chem.vocabulary import VOCABULARIES, Recipe, Vocabulary, check_own_name, get
from fedmol.closed import Closed
from fedmol.names import NO_HOST, host_like
from fedmol.settings_errors import checked, read_settings

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


class ScaffoldSplit(Closed):
    """Whole Murcko scaffolds go to one site; `sizes` as for `uneven`, equal when left out."""

    kind: Literal["scaffold"]
    sizes: tuple[Annotated[float, Field(gt=0)], ...] | None = None


class Dirichlet(Closed):
    """Each scaffold group is spread over the sites by a Dirichlet draw; small `alpha` means very different sites.

    An infinite `alpha` (`.inf` in YAML) means an even split.
    """

    kind: Literal["dirichlet"]
    alpha: Annotated[float, Field(gt=0, allow_inf_nan=True)]


Split = Annotated[Iid | Uneven | ScaffoldSplit | Dirichlet, Field(discriminator="kind")]


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


class OwnVocabulary(Closed):
    """A vocabulary that does not come with fedmol: its atom types, such as C, N+ and O-, and its largest molecule."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,38}$")]
    atoms: tuple[str, ...]
    max_atoms: int

    @field_validator("atoms", mode="before")
    @classmethod
    def _listed(cls, atoms: Any) -> Any:
        """A text of labels between blanks is a list, too."""
        return atoms.split() if isinstance(atoms, str) else atoms

    @model_validator(mode="after")
    def _can_be_made(self) -> OwnVocabulary:
        check_own_name(self.name)
        Vocabulary.of(self.name, self.atoms, self.max_atoms)
        return self


def _kind_of_vocabulary(said: Any) -> str:
    return "name" if isinstance(said, str) else "own"


AnyVocabulary = Annotated[
    Annotated[str, Tag("name")] | Annotated[OwnVocabulary, Tag("own")], Discriminator(_kind_of_vocabulary)
]


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
    max_update_norm_ratio: Annotated[float, Field(ge=1)] = 3.0  # against the sites' median, see fedmol.fl.update_norms
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


def vocabulary_named(said: str | Path | Vocabulary) -> Vocabulary:
    """The vocabulary itself, the one of that name that comes with fedmol, or that of a YAML file.

    Raises:
        FedmolError: BAD_SETTINGS if there is none, or the file is wrong.
    """
    if isinstance(said, Vocabulary):
        return said
    if str(said) in VOCABULARIES or Path(said).suffix not in (".yaml", ".yml"):
        return get(str(said))
    return read_vocabulary(Path(said))


def read_vocabulary(path: Path) -> Vocabulary:
    """The vocabulary in a YAML file, by itself or as settings have it, as `fedmol data vocabulary` writes it.

    Raises:
        FedmolError: BAD_SETTINGS, with every wrong entry.
    """
    document = read_settings(path, "name a vocabulary, or make one: fedmol data vocabulary FILE")
    for section in ("model", "vocabulary"):
        if isinstance(document, dict) and document.keys() == {section}:
            document = document[section]
    own = checked(OwnVocabulary, document, str(path))
    return Vocabulary.of(own.name, own.atoms, own.max_atoms)
