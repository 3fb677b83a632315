"""What is measured: how many sites, with a model of which size, over how many rounds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fedmol.fl.federation import Settings, parse
from fedmol.fl.identity import peer_name, shared_settings
from fedmol.fl.messages import CensusCounts, Counts, Joining
from fedmol.fl.payload import Vector, model_payload
from fedmol.fl.versions import SEMANTICS
from fedmol.local.preparation import free_port
from fedmol.training.assembly import denoiser_of, vocabulary_of
from fedmol.training.parameter_vector import flatten, manifest

RUN = "cost"
WARM = 1  # rounds before the measured ones
_ATOMS = 9  # of each molecule that the sites say they have


@dataclass(frozen=True)
class Model:
    """A model by its settings; `name` says how many parameters it has, roughly."""

    name: str
    preset: str
    layers: int


@dataclass(frozen=True)
class Case:
    sites: int
    model: Model
    rounds: int  # measured ones

    @property
    def name(self) -> str:
        return f"{self.sites} sites, {self.model.name}"


_TINY = Model("0.3 M", "small", 1)
# The model, with how many sites, and how many rounds are measured of each: short ones vary more.
_MEASURED = [
    (Model("1.4 M", "base", 6), (2, 8, 32), 9),
    (Model("5 M", "base", 22), (2, 8, 32), 5),
    (Model("20 M", "digress", 22), (2, 8), 3),
    (Model("100 M", "digress", 112), (2, 8), 3),
]


def cases() -> Iterator[Case]:
    """Small models with up to 32 sites, large ones with up to 8."""
    for model, numbers, rounds in _MEASURED:
        for sites in numbers:
            yield Case(sites, model, rounds)


def small_case() -> Case:
    """Something of everything in a few seconds."""
    return Case(2, _TINY, rounds=3)


def settings_of(case: Case) -> Settings:
    document = {
        "name": RUN,
        "sites": [{"name": f"site-{number:02d}"} for number in range(1, case.sites + 1)],
        "model": {"preset": case.model.preset, "layers": case.model.layers},
        "training": {"rounds": WARM + case.rounds, "local_steps": 10},
        "rounds": {"lost_after": 1800.0},  # the sites are silent while it is the floor's turn
        "network": {"address": "localhost", "listen": "127.0.0.1", "port": free_port()},
    }
    return parse(document, "the benchmark")


def molecules_of(settings: Settings) -> dict[str, int]:
    """Of each site: no two have the same number, and so the same weight."""
    return {site: 100 + place for place, site in enumerate(settings.site_names)}


def introduction(settings: Settings) -> tuple[Joining, Vector]:
    """What every site says of itself before it opens its shard, the peer's name apart, and the initial model."""
    denoiser = denoiser_of(settings)
    layout = manifest(denoiser)
    joining = Joining(
        run=RUN,
        peer=peer_name(settings.site_names[0]),
        semantics=SEMANTICS,
        vocabulary=vocabulary_of(settings).digest(),
        manifest=layout.digest,
        payload=model_payload(layout.size).digest,
        settings=shared_settings(settings),
    )
    return joining, flatten(denoiser)


def counts(settings: Settings, molecules: int) -> Counts:
    """What a site says of a shard whose molecules are all alike."""
    vocabulary = vocabulary_of(settings)
    census = CensusCounts(
        atoms=(_ATOMS * molecules, *[0] * (len(vocabulary.atoms) - 1)),
        bonds=(_ATOMS * (_ATOMS - 1) * molecules, *[0] * (len(vocabulary.bonds) - 1)),
        sizes=(*[0] * _ATOMS, molecules, *[0] * (vocabulary.max_atoms - _ATOMS)),
    )
    return Counts(molecules=molecules, census=census, shard=f"{molecules:064x}")
