"""Where things lie in the folders of a run: in the aggregator's working folder, a site's, and that of `fedmol run`.

    run = RunFolder(Path("runs/trial-1"))
    run.report                        # runs/trial-1/report.html
    run.aggregator.log                # runs/trial-1/aggregator/events.jsonl
    run.site("north").model           # runs/trial-1/sites/north/model.safetensors

An aggregator that serves real sites leaves a working folder of which `fedmol report` makes the account of the run, so
that a run's folder and an aggregator's have much in common.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from fedmol.names import AGGREGATOR


class Entry:
    """A file or folder with a fixed name: of a folder, its path; of the class, the entry itself."""

    def __init__(self, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, folder: None, owner: type[RunFolder]) -> Entry: ...
    @overload
    def __get__(self, folder: RunFolder, owner: type[RunFolder]) -> Path: ...
    def __get__(self, folder: RunFolder | None, owner: type[RunFolder]) -> Entry | Path:
        return self if folder is None else folder.path / self.name


@dataclass(frozen=True)
class RunFolder:
    """A folder of a run, by its path. Nothing is looked up, and nothing made."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    # of every party
    owner = Entry("owner.json")  # see `fedmol.folder_owner`
    lock = Entry("lock")
    log = Entry("events.jsonl")
    model = Entry("model.safetensors")  # the final one: with it the run is finished there

    # of the aggregator
    settings = Entry("settings.yaml")  # with it the folder is one that `fedmol report` reads
    agreement = Entry("agreement.json")
    changes = Entry("changes")  # what has been signed, as 0001.json and on
    rounds = Entry("rounds")  # a checkpoint of each
    uploads = Entry("uploads")

    # of a site
    shard = Entry("shard.csv")  # that `fedmol run` has dealt out
    cache = Entry("cache")  # of the shard
    card = Entry("card.json")  # of the shard
    state = Entry("state")  # between rounds

    # what is made of the model
    preview = Entry("preview.json")  # of a round's model, while the run goes on
    samples = Entry("samples.smi")
    evaluation = Entry("evaluation.json")
    metrics = Entry("metrics.csv")
    report = Entry("report.html")

    # of `fedmol run` besides
    source_card = Entry("data/card.json")
    test = Entry("data/test.csv")  # molecules that no site has
    known = Entry("data/known.csv")  # molecules that sites train on
    prepared = Entry("data/prepared")  # the digest of the settings; written last of all
    logs = Entry("logs")  # what the programs say
    authority = Entry("certs/authority")

    # of the centralised training beside it, which has a folder of its own
    losses = Entry("losses.csv")
    position = Entry("position.safetensors")  # where it was broken off

    @property
    def aggregator(self) -> RunFolder:
        """The working folder of the aggregator that `fedmol run` plays."""
        return RunFolder(self.path / AGGREGATOR)

    def site(self, name: str) -> RunFolder:
        """The working folder of a site that `fedmol run` plays."""
        return RunFolder(self.path / "sites" / name)

    def party(self, name: str) -> RunFolder:
        """That of the aggregator or of a site, by its name."""
        return self.aggregator if name == AGGREGATOR else self.site(name)

    def certificates(self, party: str) -> Path:
        """The folder with the certificate of a party that `fedmol run` plays."""
        return self.path / "certs" / (party if party == AGGREGATOR else f"site-{party}")

    @property
    def baseline(self) -> RunFolder:
        """The folder of the centralised training."""
        return RunFolder(self.path / "baseline")

    @property
    def told(self) -> Path:
        """The log that tells of the run: the folder's own or, without one, that of the aggregator which is played."""
        played = self.aggregator.log
        return played if os.path.exists(played) and not os.path.lexists(self.log) else self.log
