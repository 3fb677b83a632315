"""Run a collaborator that sends its update's step from the round's model times a factor in some rounds.

python turned_round.py ROUND,ROUND FACTOR PROGRAM [ARGUMENT...]
"""

from __future__ import annotations

import runpy
import sys
from dataclasses import replace
from typing import Any

import numpy as np

from fedmol.fl.payload import MODEL, Sections
from fedmol_collaborator.site_training import SiteTraining

if __name__ == "__main__":
    rounds, factor, program, *rest = sys.argv[1:]
    honest = SiteTraining.train

    def turned(self: SiteTraining, round: int, start: Sections) -> Any:
        model, trained = np.array(start[MODEL], np.float32), honest(self, round, start)
        if str(round) not in rounds.split(","):
            return trained
        turned = model + np.float32(factor) * (trained.sections[MODEL] - model)
        return replace(trained, sections={**trained.sections, MODEL: turned})

    SiteTraining.train = turned  # type: ignore[method-assign]
    sys.argv = [program, *rest]
    runpy.run_module(program, run_name="__main__")
