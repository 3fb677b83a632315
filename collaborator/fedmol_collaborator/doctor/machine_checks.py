"""This machine and this site's molecules: where it would compute, how fast, and in what room."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import psutil
import torch

from fedmol.data.molecule_files import read_table
from fedmol.data.proposal import KEEP, kinds_of, propose
from fedmol.data.shards import open_shard
from fedmol.diffusion.census import Census
from fedmol.doctor.checks import Finding, failed, ok, warning
from fedmol.doctor.disk_space import disk, enough, gigabytes, model_bytes
from fedmol.errors import Exit, FedmolError
from fedmol.fl.federation import Settings
from fedmol.ragged import RaggedGraphs
from fedmol.settings import DataSettings, TrainingSettings
from fedmol.training.assembly import vocabulary_of
from fedmol.training.device import device_named, processes_on
from fedmol_collaborator.step_benchmark import seconds_per_step

_STEPS = 3
_CGROUP = Path("/sys/fs/cgroup")
_NVIDIA = Path("/dev/nvidia0")
_KEPT = (
    12  # times the model: weights and optimiser's state of two rounds, of a broken-off one, and of one being written
)


def device(training: TrainingSettings) -> Finding:
    where = device_named(training.device)
    processes = processes_on(where, training.processes)
    if where.type == "cuda":
        return ok(f"{torch.cuda.get_device_name(where)}, {processes} of {torch.cuda.device_count()} in use")
    cores = len(os.sched_getaffinity(0))
    found = f"no GPU: {processes} x {training.threads} threads on {cores} processor cores"
    if _NVIDIA.exists() and training.device == "auto":
        cure = "install the CUDA build of torch (make TORCH=cuda) and a driver that is new enough for it"
        return warning(f"there is a GPU, but torch {torch.__version__} cannot use it; {found}", cure)
    if processes * training.threads > cores:
        return warning(found, f"set training.threads in this site's settings to at most {max(1, cores // processes)}")
    return ok(found)


def shard(settings: Settings, path: Path) -> Finding:
    """The value is the graphs to train on."""
    try:
        opened = open_shard(path, settings.data.column, vocabulary_of(settings), settings.data.validation_share)
    except FedmolError as error:
        if error.exit is not Exit.VOCABULARY_DIFFERS:
            raise
        return failed(error.message, f"ask the coordinator for another vocabulary: {_fitting(settings.data, path)}")
    card = opened.card
    found = (
        f"{card.kept:,} of {card.read:,} rows are usable molecules; {card.duplicates:,} duplicates, "
        f"{card.rejected_rows:,} rejected"
    )
    figures = {"molecules_kept": float(card.kept), "rows_rejected": float(card.rejected_rows)}
    if card.rejected:
        reasons = ", ".join(f"{rejection.count:,}: {reason}" for reason, rejection in list(card.rejected.items())[:3])
        cure = f"nothing, if they may stay out; `fedmol data card {path.name}` names every reason and line"
        if card.foreign_rows:
            cure += f"; or ask the coordinator for another vocabulary: {_fitting(settings.data, path)}"
        return warning(f"{found} ({reasons})", cure, opened.training, **figures)
    return ok(found, opened.training, **figures)


def _fitting(data: DataSettings, path: Path) -> str:
    """The smallest vocabulary that fits the shard."""
    kinds = kinds_of(read_table(path, data.column).smiles, data.standardise)
    try:
        proposal = propose("ours", kinds, KEEP)
    except ValueError as error:
        return str(error)
    return f"`{proposal.yaml}` holds {proposal.molecules - proposal.left_out:,} of {proposal.molecules:,} rows"


def training_step(settings: Settings, graphs: RaggedGraphs) -> Finding:
    """One gradient step as in a round; the value is its seconds."""
    torch.set_num_threads(settings.training.threads)
    vocabulary = vocabulary_of(settings)
    census = Census.take(graphs, len(vocabulary.atoms), len(vocabulary.bonds), vocabulary.max_atoms)
    seconds = seconds_per_step(settings, graphs, census, _STEPS)
    found = f"{seconds:.3g} s for {settings.training.batch_size} molecules by preset {settings.model.preset}"
    return ok(found, seconds, training_step_seconds=seconds)


def site_disk(settings: Settings, work: Path, graphs: RaggedGraphs) -> Finding:
    return disk(work, _KEPT * model_bytes(settings) + 2 * graphs.nbytes)


def memory(training: TrainingSettings) -> Finding:
    """Against what this process itself has taken for the shard and the training steps."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    processes = processes_on(device_named(training.device), training.processes)
    return memory_against(available_memory() + psutil.Process().memory_info().rss, peak * processes)


def memory_against(free: int, need: int) -> Finding:
    found = f"{gigabytes(free)} to be had, {gigabytes(need)} taken by the training step and the shard"
    cure = "give the site more memory (in containers: its limit), a smaller shard, or ask for a smaller batch_size"
    return enough("memory", free, need, 1.25, found, cure)


def available_memory(cgroup: Path = _CGROUP) -> int:
    """What can still be taken, in bytes: of the machine's memory, or of the container's limit where that is less."""
    available = int(psutil.virtual_memory().available)
    try:
        limit = int((cgroup / "memory.max").read_text())
        used = int((cgroup / "memory.current").read_text())
    except (OSError, ValueError):  # no such file, or the word "max"
        return available
    return min(available, max(0, limit - used))
