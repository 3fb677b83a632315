"""The newest molecules of the run, from what its evaluator has written, and their pictures."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from markupsafe import Markup
from pydantic import BaseModel, ValidationError

from fedmol.errors import FedmolError
from fedmol.sidecar.views import MoleculesView, MoleculeView

NEWEST_FIRST = ("evaluation.json", "preview.json")  # of the finished run; of a round on the way there
SHOWN = 30
NONE = MoleculesView(
    measured=None, round=None, samples=0, validity=None, uniqueness=None, novelty=None, molecules=[], problem=None
)  # fmt: skip


class _Rate(BaseModel):
    count: int
    total: int

    @property
    def share(self) -> float | None:
        return self.count / self.total if self.total else None


class _Quality(BaseModel):
    validity: _Rate
    uniqueness_strict: _Rate
    novelty_strict: _Rate


class _Evaluation(BaseModel):
    """The part of `fedmol.evaluation.Evaluation` that is shown; that class itself would bring torch along."""

    round: int | None = None  # in a preview only
    samples: int
    known: int
    quality: _Quality
    examples: list[MoleculeView]


def newest(folder: Path) -> MoleculesView:
    """What the newest evaluation says. Read again whenever the file has changed."""
    for name in NEWEST_FIRST:
        try:
            return _read(folder / name, (folder / name).stat().st_mtime)
        except FileNotFoundError:
            continue
        except (OSError, ValidationError) as error:
            return NONE.model_copy(update={"problem": f"{name} cannot be read: {type(error).__name__}"})
    return NONE


@lru_cache(maxsize=2)
def _read(path: Path, changed: float) -> MoleculesView:
    said = _Evaluation.model_validate_json(path.read_bytes())
    return MoleculesView(
        measured=changed,
        round=said.round,
        samples=said.samples,
        validity=said.quality.validity.share,
        uniqueness=said.quality.uniqueness_strict.share,
        novelty=said.quality.novelty_strict.share if said.known else None,
        molecules=said.examples[:SHOWN],
        problem=None,
    )


@lru_cache(maxsize=2 * SHOWN)
def picture(smiles: str) -> Markup | None:
    """The molecule drawn, None if it cannot be. RDKit's inline styles become attributes: the page allows no others."""
    from fedmol.chem.drawing import svg  # rdkit is only paid for when there is a molecule

    try:
        drawn = svg((smiles.split() or [""])[0], (176, 132))
    except (FedmolError, RuntimeError, ValueError):  # the latter are RDKit's own
        return None
    return Markup(re.sub(r"\sstyle=(['\"])(.*?)\1", lambda found: _attributes(found[2]), drawn))


def _attributes(style: str) -> str:
    pairs = (part.split(":", 1) for part in style.split(";") if ":" in part)
    return "".join(f' {name.strip()}="{value.strip()}"' for name, value in pairs)
