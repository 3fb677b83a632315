"""fedmol-evaluator: show what each round's model makes, and write the account of a finished run."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import click

from fedmol.data.molecule_files import read_table
from fedmol.errors import Exit
from fedmol.run_folder import RunFolder
from fedmol.runtime import call, log_to_stderr

_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path)
_NICENESS = 10  # the aggregator and its sidecar come first


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--work", type=_FOLDER, required=True, help="the aggregator's working folder, which is only read")
@click.option("--out", type=_FOLDER, required=True, help="folder for this run's results")
@click.option("--test", type=_FILE, help="real molecules that were not trained on, for NLL and distances")
@click.option("--known", type=_FILE, help="training molecules, for novelty")
@click.option("--molecules-per-round", "molecules", default=64, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--stay", is_flag=True, help="keep running after the run, for a supervisor that would restart the program"
)
def command(work: Path, out: Path, test: Path | None, known: Path | None, molecules: int, stay: bool) -> None:
    """Sample molecules from every round's model, then evaluate the final model and write the report.

    Files of molecules may be CSV with a column `smiles`, SMILES lines, SDF or Parquet, compressed or not.
    """
    signal.signal(signal.SIGTERM, _end_with(Exit.TERMINATED))
    log_to_stderr()
    os.nice(_NICENESS)
    for path in (test, known):
        if path is not None:
            read_table(path, "smiles")  # now, and not when the run is over
    import torch  # after the arguments

    from fedmol_aggregator.evaluator.following import Evaluator
    from fedmol_aggregator.evaluator.results import Results
    from fedmol_aggregator.evaluator.watched_run import Run

    torch.set_num_threads(1)
    Evaluator(Run(work), Results(RunFolder(out), RunFolder(work)), test, known, molecules).follow()
    if stay:
        signal.signal(signal.SIGTERM, _end_with(Exit.DONE))
        logging.getLogger("fedmol.evaluator").info("waiting to be stopped")
        while True:
            signal.pause()


def _end_with(exit: Exit) -> Callable[[int, FrameType | None], None]:
    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(exit)  # wherever it is: files are written whole or not at all

    return end


def main() -> None:
    os.umask(0o027)  # the sidecar, of the same group, shows the results
    sys.exit(call(command, sys.argv[1:], "fedmol-evaluator"))


if __name__ == "__main__":
    main()
