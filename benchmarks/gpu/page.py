"""docs/results/gpu.md and the README's sentence on GPUs, made from docs/results/gpu.json."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmarks.gpu.figures import HEADLINES, Figure, Figures, nothing_measured
from benchmarks.gpu.stages import STAGES
from fedmol import files, formats

ROOT = Path(__file__).resolve().parents[2]
DATA, PAGE, README = ROOT / "docs/results/gpu.json", ROOT / "docs/results/gpu.md", ROOT / "README.md"
_BEGIN, _END = "<!-- made from docs/results/gpu.json -->", "<!-- end -->"
Row = tuple[str, ...]


def load(path: Path = DATA) -> Figures:
    """The figures in the file; those before the first run where there is none."""
    figures: Figures = json.loads(path.read_text()) if path.exists() else nothing_measured()
    return figures


def publish(figures: Figures, readme: Path = README, data: Path = DATA, page: Path = PAGE) -> None:
    """Write the figures and everything that quotes them."""
    files.write_text(data, json.dumps(figures, indent=1, allow_nan=False) + "\n")
    files.write_text(page, page_of(figures))
    files.write_text(readme, readme_of(readme.read_text(), figures))


def readme_of(text: str, figures: Figures) -> str:
    """The README `text` with its sentence on GPUs replaced."""
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{sentence(figures)}\n{_END}{after}"


def sentence(figures: Figures) -> str:
    """What the README says about GPUs."""
    training, sampling, nll, valid = (
        _value(figures, name)
        for name in (
            "training_molecules_per_second",
            "sampling_molecules_per_second",
            "nll_published_5_minutes",
            "validity_5_minutes",
        )
    )
    devices = sorted({figure["device"] for figure in figures.values() if figure.get("device")})
    if not devices:
        return "The GPU code has not run on a GPU yet: [`make gpu`](docs/results/gpu.md) tests and measures it on one."
    if training is None:
        return f"Part of the GPU code has run on one {devices[0]}; its speed [is not known yet](docs/results/gpu.md)."
    parts = [f"preset `base` trains on {formats.count(training)} molecules a second"]
    if sampling is not None:
        parts.append(f"the model that ships samples {formats.count(sampling)} a second")
    said = f"On one {figures['training_molecules_per_second']['device']}, {formats.names(parts)}"
    if nll is not None and valid is not None:
        said += f"; five minutes of training on QM9 reach an NLL of {nll:.2f} and a validity of {valid:.4f}"
    return f"{said} ([figures](docs/results/gpu.md))."


def page_of(figures: Figures, note: str = "") -> str:
    """The page about GPUs, with a `note` on top."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, keep_trailing_newline=True
    )
    return templates.get_template("gpu.md.j2").render(
        note=note,
        devices=sorted({_device(figure) for figure in figures.values() if figure.get("device")}),
        headlines=list(_headlines(figures)),
        stages=list(_stages(figures)),
        missing=[(k, name, figure["why"]) for k in ("failed", "skipped") for name, figure in _under(figures, k)],
        card=list(_card(figures)),
        speeds=list(_speeds(figures)),
        sampled=[(*name.split("/")[:3], _interval(figure, 0)) for name, figure in _under(figures, "sampling")],
        profiles=list(_profiles(figures)),
        checks=[
            (
                *name.split("/", 1),
                _small(figure["value"]),
                _small(figure["bound"]),
                "yes" if figure["good"] else "**no**",
            )
            for name, figure in _under(figures, "check")
        ],
        passed=sum(figure["good"] for _, figure in _under(figures, "check")),
    )


def _value(figures: Figures, name: str) -> float | None:
    value: float | None = figures.get(name, {}).get("value")
    return value


def _small(value: float | None) -> str:
    return formats.NONE if value is None else f"{value:.1e}"


def _under(figures: Figures, prefix: str) -> list[tuple[str, Figure]]:
    """The figures below `prefix`, by the rest of their names."""
    start = f"{prefix}/"
    return [(name.removeprefix(start), figure) for name, figure in figures.items() if name.startswith(start)]


def _device(figure: Figure) -> str:
    driver = f", driver {figure['driver']}" if figure["driver"] else ""
    return f"{figure['device']}{driver}, torch {figure['torch']}"


def _interval(figure: Figure, digits: int) -> str:
    value, low, high = (formats.fixed(figure[key], digits) for key in ("value", "low", "high"))
    return value if low == high else f"{value} ({low} to {high})"


def _headlines(figures: Figures) -> Iterator[Row]:
    for name, (what, target, stretch) in HEADLINES.items():
        digits = 0 if target > 1000 else 2 if target > 1 else 4
        measured = "not measured"
        if _value(figures, name) is not None:
            setting = figures[name].get("setting")
            measured = _interval(figures[name], digits) + (f"; {setting}" if setting else "")
        yield what, formats.fixed(target, digits), "" if stretch is None else formats.fixed(stretch, digits), measured


def _stages(figures: Figures) -> Iterator[Row]:
    for name, stage in STAGES.items():
        figure = figures.get(f"stage/{name}/seconds")
        ended = "not run" if figure is None else figure["ended"]
        if figure is not None and figure["value"] is not None:
            ended += f", {formats.duration(figure['value'])}"
        yield f"`{name}`", stage.what, ended


def _card(figures: Figures) -> Iterator[str]:
    units = {"bfloat16_tflops": "TFLOP/s in bfloat16 products", "copy_gigabytes_per_second": "GB/s copied"}
    for name, unit in units.items():
        if name in figures:
            yield f"{_interval(figures[name], 0)} {unit}"


def _speeds(figures: Figures) -> Iterator[Row]:
    for name, figure in _under(figures, "training"):
        of, _, what = name.rpartition("/")
        if what == "molecules_per_second":
            share, memory = (figures[f"training/{of}/{key}"]["value"] for key in ("share_of_peak", "peak_memory_bytes"))
            size = "" if memory is None else formats.size(memory)
            yield *of.split("/"), _interval(figure, 0), formats.percent(share, 2), size


def _profiles(figures: Figures) -> Iterator[dict[str, Any]]:
    for name, figure in _under(figures, "kernels"):
        of, _, what = name.rpartition("/")
        if what != "per_step":
            continue
        preset, batch, execution = of.split("/")
        milliseconds = figures[f"kernels/{of}/kernel_milliseconds"]["value"]
        rate = _value(figures, f"training/{of}/molecules_per_second")
        step = 1e3 * int(batch) / rate if rate else None
        yield {
            "of": f"`{preset}` with {batch} molecules ({execution})",
            "launches": formats.count(figure["value"]),
            "milliseconds": formats.fixed(milliseconds),
            "step": formats.fixed(step),
            "busy": formats.percent(milliseconds / step, 0) if step and milliseconds is not None else "",
            "kernels": [
                (f"`{k}`", formats.percent(figure["value"])) for k, figure in _under(figures, f"kernels/{of}/share")
            ],
        }
