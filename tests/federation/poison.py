"""Run a collaborator whose nth update is full of NaN.

python poison.py N PROGRAM [ARGUMENT...]
"""

from __future__ import annotations

import runpy
import sys
from dataclasses import replace
from typing import Any

import numpy as np

from fedmol_collaborator.site_training import SiteTraining

if __name__ == "__main__":
    nth, program, *rest = sys.argv[1:]
    honest = SiteTraining.train

    def poisoned(self: SiteTraining, round: int, model: Any) -> Any:
        trained = honest(self, round, model)
        return replace(trained, update=np.full_like(trained.update, np.nan)) if round == int(nth) else trained

    SiteTraining.train = poisoned  # type: ignore[method-assign]
    sys.argv = [program, *rest]
    runpy.run_module(program, run_name="__main__")
