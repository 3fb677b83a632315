"""The centralised model to compare with: the sites' molecules in one place, as many steps as all sites made."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import torch

from fedmol import files
from fedmol.diffusion import Census, NoiseModel
from fedmol.fl.federation import Settings
from fedmol.fl.identity import stream_seed
from fedmol.fl.messages import Agreement
from fedmol.ragged import AnyGraphs
from fedmol.run_folder import RunFolder
from fedmol.training.assembly import trainer_of, vocabulary_of
from fedmol.training.loop import StepReport
from fedmol.training.model_file import save_model
from fedmol.training.resume import ResumePoint

_LOG_EVERY = 10  # steps between two lines of losses.csv

OnStep = Callable[[StepReport, int], None]  # the step done, and how many there are


def train_baseline(
    settings: Settings, agreement: Agreement, graphs: AnyGraphs, folder: RunFolder, on_step: OnStep
) -> None:
    """Train the model in `folder`; an earlier, broken-off training is taken up, a finished one is left as it is.

    `graphs` are the sites' training molecules together. Initial weights, noise, batch size and schedule are the
    federation's; the steps are those of all sites together, so that both process as many molecules.
    """
    if folder.model.exists():
        return
    total = settings.training.rounds * agreement.local_steps * len(agreement.molecules)
    noise = NoiseModel.from_census(Census.from_json(agreement.census.model_dump()))
    losses: list[tuple[int, float]] = []

    def note(report: StepReport) -> None:
        on_step(report, total)
        if (report.step + 1) % _LOG_EVERY == 0:  # reports of a GPU come less often
            losses.append((report.step + 1, report.loss))

    with trainer_of(settings, noise, graphs) as trainer:
        generator = torch.Generator().manual_seed(stream_seed(settings.seed, "baseline"))
        ResumePoint(folder.position, {"steps": total, "seed": settings.seed}, trainer).train_to_the_end(
            total, generator, note
        )
    files.write_text(folder.losses, pd.DataFrame(losses, columns=["step", "loss"]).to_csv(index=False))
    save_model(
        folder.model,
        trainer.denoiser,
        preset=settings.model.preset,
        vocabulary=vocabulary_of(settings),
        noise=noise,
        meta={"baseline": True, "steps": total},
    )
    folder.position.unlink(missing_ok=True)
