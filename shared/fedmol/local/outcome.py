"""What a simulated run leaves behind: the model, samples, figures, the baseline beside it, and the report."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fedmol.chem.standardise import known_molecules
from fedmol.data.shards import Shard, open_shard
from fedmol.evaluation import compare
from fedmol.evaluation.reference_molecules import real_molecules
from fedmol.fl.federation import Settings
from fedmol.fl.messages import read_agreement
from fedmol.local.baseline import train_baseline
from fedmol.ragged import concatenated
from fedmol.report.build import evaluate_once, write_account
from fedmol.report.console import print_comparison, print_evaluation
from fedmol.run_folder import RunFolder
from fedmol.training.assembly import vocabulary_of

Step = Callable[[str, int, int], None]


def conclude(settings: Settings, folder: RunFolder, baseline: bool, console: Console) -> None:
    """Evaluate the finished federation's model, train and evaluate the baseline if asked to, and write the report."""
    torch.set_num_threads(settings.training.threads)
    shutil.copyfile(folder.aggregator.model, folder.model)
    shards = _shards(settings, folder)
    vocabulary = vocabulary_of(settings)
    trained_on = (
        smiles for shard in shards for smiles, out in zip(shard.smiles, shard.held_out.tolist(), strict=True) if not out
    )
    known = known_molecules(trained_on, vocabulary)
    test = real_molecules(str(folder.test), "smiles", vocabulary)
    with _progress(console) as progress:
        step = _stepper(progress)
        federated = evaluate_once(folder, settings, test.graphs, known, step)
        write_account(folder)  # now, so that it is there even if the baseline is broken off
        central = None
        if baseline:
            agreement = read_agreement(folder.aggregator.agreement)
            graphs = concatenated([shard.training for shard in shards])
            train_baseline(settings, agreement, graphs, folder.baseline, lambda r, n: step("baseline", r.step + 1, n))
            central = evaluate_once(
                folder.baseline, settings, test.graphs, known, lambda phase, *done: step(f"baseline {phase}", *done)
            )
            write_account(folder)
    print_evaluation(console, federated)
    if central is not None:
        print_comparison(console, compare(federated, central))


def _shards(settings: Settings, folder: RunFolder) -> list[Shard]:
    """The sites' shards, from the caches that the sites have made."""
    share, vocabulary = settings.data.validation_share, vocabulary_of(settings)
    sites = [folder.site(name) for name in settings.site_names]
    return [open_shard(site.shard, "smiles", vocabulary, share, site.cache) for site in sites]


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description:<20}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)


def _stepper(progress: Progress) -> Step:
    """Shows any phase by its name; on a plain console, says once that it has begun."""
    tasks = {}

    def step(phase: str, done: int, total: int) -> None:
        if phase not in tasks:
            tasks[phase] = progress.add_task(phase, total=total)
            if progress.disable:
                progress.console.print(f"{phase} ...")
        progress.update(tasks[phase], completed=done)

    return step
