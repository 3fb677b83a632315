"""What must lie ready before a simulated federation starts: shards, certificates, resolved settings."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from fedmol import files
from fedmol.data import sources
from fedmol.data.card import DataCard, check, left_out
from fedmol.data.parallel import Progress
from fedmol.data.shards import encode_table, held_out, shard_of
from fedmol.data.splits import holdout, names, split
from fedmol.diffusion import samplers
from fedmol.errors import Exit, FedmolError
from fedmol.fl.federation import Settings, dump, load
from fedmol.fl.identity import digest
from fedmol.models.presets import preset
from fedmol.names import AGGREGATOR
from fedmol.pki import certificates
from fedmol.run_folder import RunFolder
from fedmol.training.assembly import vocabulary_of

_VALIDITY = timedelta(days=90)
_LOOPBACK = ["localhost", "127.0.0.1"]
_LEAST = 3  # different molecules of a site: two to train on, for smaller counts are not sent, and one beside them


def prepare(
    settings: Settings,
    folder: Path,
    on_progress: Progress | None = None,
    tell: Callable[[str], object] = lambda _: None,
) -> Settings:
    """Fill a new run folder; the settings come back with the port that was chosen.

    `tell` is told, in a line, what of the source cannot be used.

    Raises:
        FedmolError: USAGE, BAD_SETTINGS, BAD_DATA, VOCABULARY_DIFFERS; the folder is not made then.
    """
    if folder.exists():
        raise FedmolError(
            Exit.USAGE, f"there is a run in {folder} already", "continue it with --resume, or choose another --run-id"
        )
    preset(settings.model.preset)  # the names that no part of the preparation looks up
    samplers.get(settings.evaluation.sampler)
    resolved = _resolve(settings)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as name:
        draft = RunFolder(Path(name) / folder.name)
        for line in left_out(_deal(settings, draft, on_progress)):
            tell(line)
        _certify(settings, draft, _LOOPBACK)
        files.write_text(draft.settings, dump(resolved))
        draft.path.chmod(0o700)  # molecules, and models that may remember them, are nobody else's business
        draft.path.rename(folder)  # only now: bad data leaves no half-made run behind
    return resolved


def recall(folder: RunFolder) -> Settings:
    """The settings of a run that was prepared before."""
    if not folder.settings.exists():
        what = f"{folder.path} holds no run to resume"
        raise FedmolError(Exit.STATE_UNUSABLE, what, "start a new run without --resume")
    return load(folder.settings)


def prepare_files(settings: Settings, folder: Path) -> bool:
    """The same for parties that do not share a file system: `folder` holds the places, volumes perhaps, to be filled.

    Nothing but the places named in the layout of a run folder is written. Done before with the same settings, it does
    nothing and says so by False; broken off, it is done again from the beginning.

    Raises:
        FedmolError: STATE_UNUSABLE when the places were filled for other settings.
    """
    mark = digest(settings.model_dump(mode="json", include={"name", "seed", "sites", "data", "model", "network"}))
    prepared = RunFolder(folder).prepared
    if prepared.exists():
        if prepared.read_text() != mark:
            cure = "take the old federation down with its volumes (docker compose down -v), or go back to its settings"
            raise FedmolError(Exit.STATE_UNUSABLE, f"{folder} was prepared for other settings", cure)
        return False
    with tempfile.TemporaryDirectory() as name:
        _deal(settings, RunFolder(Path(name)))
        _certify(settings, RunFolder(Path(name)), [settings.network.address])
        _hand_over(Path(name), folder)
    files.write_text(prepared, mark)
    return True


def _hand_over(draft: Path, folder: Path) -> None:
    for path in sorted(path for path in draft.rglob("*") if path.is_file()):
        files.write_bytes(folder / path.relative_to(draft), path.read_bytes(), mode=path.stat().st_mode & 0o777)


def _resolve(settings: Settings) -> Settings:
    network = settings.network.model_copy(update={"address": "localhost", "listen": "127.0.0.1", "port": free_port()})
    return settings.model_copy(
        update={"network": network, "data": settings.data.model_copy(update={"column": "smiles"})}
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _deal(settings: Settings, folder: RunFolder, on_progress: Progress | None = None) -> DataCard:
    """Hold a test set out that no site sees, and deal the rest out to the sites; `known` is what they will train on.

    Rows that are rejected go nowhere; the card of the whole source, which is kept beside the test set, tells of them.

    Raises:
        FedmolError: BAD_DATA, VOCABULARY_DIFFERS when too little is left for one of the parts.
    """
    vocabulary = vocabulary_of(settings)
    table = sources.load(settings.data, seed=settings.seed)
    encoded = encode_table(table, vocabulary, on_progress)
    card = shard_of(table, encoded, vocabulary).card
    check(card)
    _check_enough(card, len(settings.sites))
    table = table.take(encoded.rows)
    standard = vocabulary.recipe != "none"
    canonical = encoded.smiles if vocabulary.keeps_charges or standard else names(table.smiles)
    rest, test = holdout(canonical, settings.data.test_share, settings.seed)
    known, known_names = table.take(rest.tolist()), [canonical[row] for row in rest]
    shards = split(known_names if standard else known.smiles, settings.data.split, len(settings.sites), settings.seed)
    share = settings.data.validation_share
    sites = [list({known_names[row]: None for row in rows}) for rows in shards]
    _check_parts(settings, card, [int((~held_out(site_names, share)).sum()) for site_names in sites])
    held = held_out(known_names, share).tolist()
    files.write_text(folder.source_card, card.to_json(), 0o600)
    sources.write_table(folder.test, table.take(test.tolist()).smiles)
    sources.write_table(folder.known, [name for name, out in zip(known_names, held, strict=True) if not out])
    for site, rows in zip(settings.site_names, shards, strict=True):
        sources.write_table(folder.site(site).shard, known.take(rows.tolist()).smiles)
    return card


def _check_enough(card: DataCard, sites: int) -> None:
    """One molecule is held out for the test, and every site needs two to train on and another to validate with."""
    needed = 1 + _LEAST * sites
    if card.kept < needed:
        raise FedmolError(
            Exit.BAD_DATA,
            f"{card.source} holds {card.kept} different molecules, and {sites} sites need at least {needed}: one for "
            "the test, and each site two to train on and one to validate with",
            "use more molecules, or fewer sites",
        )


def _check_parts(settings: Settings, card: DataCard, trained_on: list[int]) -> None:
    """Scaffolds, or sizes, may leave a site with less than it needs."""
    short = {site: n for site, n in zip(settings.site_names, trained_on, strict=True) if n < _LEAST - 1}
    if short:
        listed = ", ".join(f"{site} gets {n} to train on" for site, n in short.items())
        raise FedmolError(
            Exit.BAD_DATA,
            f"{card.source} holds {card.kept} different molecules, too few for this split: {listed}, and each site "
            f"needs {_LEAST - 1} beside those it validates with",
            "use more molecules or fewer sites, or let their sizes be more alike (data.split)",
        )


def _certify(settings: Settings, folder: RunFolder, addresses: list[str]) -> None:
    certificates.make_ca(folder.authority, settings.name, _VALIDITY)
    certificates.issue_aggregator(folder.authority, folder.certificates(AGGREGATOR), addresses, _VALIDITY)
    for site in settings.site_names:
        certificates.issue_site(folder.authority, folder.certificates(site), site, _VALIDITY)
