"""From the record of a run to named figures, each with the command, the commit and the device it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from benchmarks.gpu.record import Entry
from benchmarks.gpu.sampling_speed import STEPS
from fedmol.errors import Exit, FedmolError

Figure = dict[str, Any]
Figures = dict[str, Figure]
Evaluation = Mapping[str, Mapping[str, Mapping[str, float]]]  # set of samples -> figure -> value, low, high

VALID = 0.99  # of the molecules, that a speed of sampling may be quoted
# What the page and the README quote: name -> what it is, what was asked for, and what would be beyond that.
HEADLINES: dict[str, tuple[str, float, float | None]] = {
    "training_molecules_per_second": ("training, preset `base`, molecules per second", 100_000, 300_000),
    "nll_published_5_minutes": ("NLL after five minutes of training (published definition)", 67.5, 66.0),
    "validity_5_minutes": ("valid, of 10,000 molecules of that model", 0.996, 0.998),
    "uniqueness_5_minutes": ("unique, of the valid ones", 0.968, None),
    "sampling_molecules_per_second": (f"sampling at validity {VALID} or more, molecules per second", 20_000, 100_000),
}
_QUOTED_SET = "few-step-25"  # the default sampler
_DIFFERENCES = ("logits", "loss", "gradients", "difference", "weights", "atoms", "bonds", "sizes")
_SPEED_SETS = {steps: f"speed-{steps}" for steps in STEPS}


def nothing_measured() -> Figures:
    """The headline figures before the first run on a GPU."""
    return {name: _figure(None, "make gpu", None) for name in HEADLINES}


def figures_of(record: Iterable[Entry], evaluation: Evaluation) -> Figures:
    """Every figure of a run, and the headlines that it does not have without a value.

    Raises:
        FedmolError: BAD_DATA when an entry is not what a run writes.
    """
    found = list(record)
    try:
        run = next(entry for entry in found if entry["kind"] == "run")
        named = {**dict(_measured(found)), **dict(_judged(evaluation)), **dict(_headlines(found, evaluation))}
        origin = {key: run[key] for key in ("device", "driver", "torch")}
        figures = {name: {**_figure(value, run["command"], run["commit"]), **origin} for name, value in named.items()}
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise FedmolError(
            Exit.BAD_DATA,
            f"the record has an entry that no run writes: {type(error).__name__}: {error}",
            "take the record as the run left it",
        ) from None
    return {**nothing_measured(), **figures}


def _figure(value: Mapping[str, Any] | None, command: str, commit: str | None) -> Figure:
    known = dict(value or {"value": None})
    for end in ("low", "high"):
        known.setdefault(end, known["value"])
    return {**known, "command": command, "commit": commit}


def _measured(found: list[Entry]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for entry in found:
        if "good" in entry and entry["kind"] != "failed":
            yield from _checked(entry)
        match entry["kind"]:
            case "ceilings":
                yield "bfloat16_tflops", entry["bfloat16_tflops"]
                yield "copy_gigabytes_per_second", entry["copy_gigabytes_per_second"]
            case "training_speed":
                name = "training/{preset}/{batch}/{execution}".format(**entry)
                yield f"{name}/molecules_per_second", entry["molecules_per_second"]
                for key in ("share_of_peak", "peak_memory_bytes", "megaflop_per_molecule"):
                    yield f"{name}/{key}", {"value": entry[key]}
            case "sampling_speed":
                name = "sampling/{steps}/{batch}/{execution}".format(**entry)
                yield f"{name}/molecules_per_second", entry["molecules_per_second"]
            case "kernels":
                name = "kernels/{preset}/{batch}/{execution}".format(**entry)
                for key in ("per_step", "kernel_milliseconds"):
                    yield f"{name}/{key}", {"value": entry[key]}
                for kernel, share in entry["shares"].items():
                    yield f"{name}/share/{kernel}", {"value": share}
            case "waits":
                yield "waits_in_six_steps", {"value": entry["times"], "places": entry["places"]}
            case "training":
                yield "molecules_5_minutes", {"value": entry["molecules"]}
                yield "steps_5_minutes", {"value": entry["steps"]}
            case "nll":
                yield "nll_sampled_5_minutes", entry["sampler"]
            case "skipped":
                yield f"skipped/{entry['what']}", {"value": None, "why": entry["why"]}
            case "failed":
                yield f"failed/{entry['what']}", {"value": None, "why": entry["error"]}
    ends = {entry["name"]: entry for entry in found if entry["kind"] == "stage"}
    for name in dict.fromkeys(entry["in"] for entry in found if entry.get("in")):
        ends.setdefault(name, {"seconds": None, "ended": "cut short"})
    for name, end in ends.items():
        yield f"stage/{name}/seconds", {"value": end["seconds"], "ended": end["ended"]}


def _checked(entry: Entry) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What was compared, how far apart it was, and whether that is good."""
    if entry["kind"] == "learning":
        yield "check/learning/loss", {"value": entry["last"], "bound": entry["first"], "good": entry["good"]}
        return
    title = " ".join(str(entry[key]) for key in ("preset", "precision", "sampler", "name", "what") if key in entry)
    for key in _DIFFERENCES:
        if key in entry:
            value = entry[key]
            good = value is not None and value <= entry["bound"]
            yield (
                f"check/{entry['kind'].replace('_', ' ')} {title}".rstrip() + f"/{key}",
                {
                    "value": value,
                    "bound": entry["bound"],
                    "good": good,
                },
            )


def _judged(evaluation: Evaluation) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, figures in evaluation.items():
        for key, value in figures.items():
            yield f"samples/{name}/{key}", value


def _headlines(found: list[Entry], evaluation: Evaluation) -> Iterator[tuple[str, Mapping[str, Any]]]:
    training = [entry for entry in _with_rate(found, "training_speed") if entry["preset"] == "base"]
    if training:
        best = max(training, key=_rate)
        yield "training_molecules_per_second", best["molecules_per_second"] | _setting(best, "batch", "execution")
    for entry in found:
        if entry["kind"] == "nll":
            yield "nll_published_5_minutes", entry["published"]
    for key, value in evaluation.get(_QUOTED_SET, {}).items():
        yield f"{key}_5_minutes", value
    valid = {steps for steps, name in _SPEED_SETS.items() if name in evaluation}
    valid = {steps for steps in valid if evaluation[_SPEED_SETS[steps]]["validity"]["value"] >= VALID}
    sampling = [entry for entry in _with_rate(found, "sampling_speed") if entry["steps"] in valid]
    if sampling:
        best = max(sampling, key=_rate)
        setting = _setting(best, "steps", "batch", "execution")
        yield "sampling_molecules_per_second", best["molecules_per_second"] | setting


def _with_rate(found: list[Entry], kind: str) -> list[Entry]:
    return [entry for entry in found if entry["kind"] == kind and entry["molecules_per_second"]["value"] is not None]


def _rate(entry: Entry) -> float:
    rate: float = entry["molecules_per_second"]["value"]
    return rate


def _setting(entry: Entry, *keys: str) -> dict[str, str]:
    return {"setting": ", ".join(f"{key} {entry[key]}" for key in keys)}
