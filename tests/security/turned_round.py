"""Run a collaborator that sends its update's step from the round's model times a factor in some rounds.

python turned_round.py ROUND,ROUND FACTOR PROGRAM [ARGUMENT...]
"""

from __future__ import annotations

import runpy
import sys
from dataclasses import replace
from typing import Any

import numpy as np

from fedmol_collaborator.site_training import SiteTraining

if __name__ == "__main__":
    rounds, factor, program, *rest = sys.argv[1:]
    honest = SiteTraining.train

    def turned(self: SiteTraining, round: int, model: Any) -> Any:
        start = np.array(model, np.float32)
        trained = honest(self, round, model)
        if str(round) not in rounds.split(","):
            return trained
        return replace(trained, update=start + np.float32(factor) * (trained.update - start))

    SiteTraining.train = turned  # type: ignore[method-assign]
    sys.argv = [program, *rest]
    runpy.run_module(program, run_name="__main__")
