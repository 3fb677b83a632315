"""The newest molecules of the run, from what its evaluator has written, and their pictures."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from markupsafe import Markup
from pydantic import BaseModel, Field, ValidationError

from fedmol.errors import FedmolError
from fedmol.files import open_regular
from fedmol.run_folder import RunFolder
from fedmol.sidecar.views import MoleculesView, MoleculeView

_LARGEST = 4 * 2**20  # bytes
_LONGEST_DRAWN = 500  # characters of a SMILES
_TIMES = 0.0, 4_102_444_800.0  # 1970 to 2100: a file may have any
SHOWN = 30
NONE = MoleculesView(
    measured=None, round=None, samples=0, validity=None, uniqueness=None, novelty=None, molecules=[], problem=None
)  # fmt: skip


_Count = Annotated[int, Field(ge=0, le=2**53)]


class _Rate(BaseModel):
    count: _Count
    total: _Count

    @property
    def share(self) -> float | None:
        return self.count / self.total if self.total else None


class _Quality(BaseModel):
    """As the report's tiles have it: uniqueness and novelty as published, of the relaxed-valid samples."""

    validity: _Rate
    uniqueness: _Rate
    novelty: _Rate


class _Evaluation(BaseModel):
    """The part of `fedmol.evaluation.Evaluation` that is shown; that class itself would bring torch along."""

    round: _Count | None = None  # in a preview only
    samples: _Count
    known: _Count
    quality: _Quality
    examples: list[MoleculeView]


def newest(folder: RunFolder) -> MoleculesView:
    """What the newest evaluation says. Read again whenever the file has changed."""
    for path in (folder.evaluation, folder.preview):  # of the finished run; of a round on the way there
        try:
            found = path.lstat()
            return _read(path, found.st_mtime_ns, found.st_size, found.st_ino)
        except FileNotFoundError:
            continue
        except OSError as error:
            return _problem(path.name, error.strerror or str(error))
    return NONE


def _problem(name: str, what: str) -> MoleculesView:
    return NONE.model_copy(update={"problem": f"{name} cannot be used: {what}"})


@lru_cache(maxsize=2)
def _read(path: Path, changed: int, size: int, inode: int) -> MoleculesView:
    with open_regular(path) as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        return _problem(path.name, f"it has more than {_LARGEST:,} bytes")
    try:
        said = _Evaluation.model_validate_json(content)
    except ValidationError:
        return _problem(path.name, "it is not an evaluation")
    return MoleculesView(
        measured=min(max(changed / 1e9, _TIMES[0]), _TIMES[1]),
        round=said.round,
        samples=said.samples,
        validity=said.quality.validity.share,
        uniqueness=said.quality.uniqueness.share,
        novelty=said.quality.novelty.share if said.known else None,
        molecules=said.examples[:SHOWN],
        problem=None,
    )


@lru_cache(maxsize=2 * SHOWN)
def picture(smiles: str) -> Markup | None:
    """The molecule drawn, None if it cannot be. RDKit's inline styles become attributes: the page allows no others."""
    if len(smiles) > _LONGEST_DRAWN:
        return None
    from fedmol.chem.drawing import svg  # rdkit is only paid for when there is a molecule

    try:
        drawn = svg((smiles.split() or [""])[0], (176, 132))
    except (FedmolError, RuntimeError, ValueError):  # the latter are RDKit's own
        return None
    return Markup(re.sub(r"\sstyle=(['\"])(.*?)\1", lambda found: _attributes(found[2]), drawn))


def _attributes(style: str) -> str:
    pairs = (part.split(":", 1) for part in style.split(";") if ":" in part)
    return "".join(f' {name.strip()}="{value.strip()}"' for name, value in pairs)
