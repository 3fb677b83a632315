"""Run a collaborator whose nth update is full of NaN.

python poison.py N PROGRAM [ARGUMENT...]
"""

from __future__ import annotations

import runpy
import sys
from dataclasses import replace
from typing import Any

import numpy as np

from fedmol.fl.payload import Sections
from fedmol_collaborator.site_training import SiteTraining

if __name__ == "__main__":
    nth, program, *rest = sys.argv[1:]
    honest = SiteTraining.train

    def poisoned(self: SiteTraining, round: int, start: Sections) -> Any:
        trained = honest(self, round, start)
        if round != int(nth):
            return trained
        return replace(trained, sections={name: np.full_like(one, np.nan) for name, one in trained.sections.items()})

    SiteTraining.train = poisoned  # type: ignore[method-assign]
    sys.argv = [program, *rest]
    runpy.run_module(program, run_name="__main__")
