"""The card that goes with a model: what it was trained on, how, how good it is, and what it is for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from fedmol import files, formats
from fedmol.evaluation import Evaluation
from fedmol.report.run_record import RunRecord
from fedmol.training.model_file import TrainedModel

_FILTERS = ("fixed", "count", "percent", "interval", "duration", "date", "names", "number")
_RATES = {
    "validity": "of all samples, as they stand",
    "relaxed_validity": "of all samples, N+ and O+ allowed",
    "connected": "of all samples, one fragment",
    "uniqueness": "distinct ones of the relaxed-valid",
    "novelty": "of those, not among the training molecules",
}


@dataclass(frozen=True)
class Release:
    """What is to be said of a model that nothing in its run says."""

    name: str
    licence: str
    bits: int  # of a weight in the file


def write_model_card(
    path: Path, record: RunRecord, model: TrainedModel, evaluation: Evaluation, release: Release
) -> None:
    """Write the card as Markdown. `evaluation` is that of the model in the file, which may be finer than the run's."""
    environment = Environment(
        loader=PackageLoader("fedmol.report"), trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters |= {name: getattr(formats, name) for name in _FILTERS}
    card = environment.get_template("model_card.md.j2").render(
        record=record,
        settings=record.settings,
        model=model,
        parameters=sum(p.numel() for p in model.denoiser.parameters()),
        molecules={name: site.molecules for name, site in sorted(record.run.sites.items()) if site.molecules},
        steps=record.run.local_steps,
        evaluation=evaluation,
        rates=_RATES,
        release=release,
    )
    files.write_text(path, card)
