from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import fedmol.data.shards
from fedmol import sealed
from fedmol.chem import vocabulary
from fedmol.chem.smiles_to_graphs import encode
from fedmol.chem.standardise import CHARGES, SALTS, TAUTOMER
from fedmol.data.card import DataCard, left_out
from fedmol.data.embedded import embedded
from fedmol.data.shards import held_out, open_shard, shard_digest
from fedmol.data.sources import write_table
from fedmol.errors import Exit, FedmolError

CHARGED = vocabulary.get("qm9-charged")
MIXED = ["CCO", "OCC", "C.C", "nonsense", "", "CC[Si]", "CCN", "c1ccncc1", "C1CC1", "CC(=O)[O-].[Na+]", "OC1CC1", "NCC"]


def shard_file(folder: Path, smiles: list[str]) -> Path:
    write_table(folder / "site.csv", smiles)
    return folder / "site.csv"


def test_card_accounts_for_every_row(tmp_path: Path) -> None:
    shard = open_shard(shard_file(tmp_path, MIXED), "smiles", CHARGED, 0.05)
    card = shard.card
    assert shard.smiles == ["CCO", "CCN", "c1ccncc1", "C1CC1", "OC1CC1"]
    assert (card.read, card.kept, card.duplicates, card.blank) == (12, 5, 2, 1)
    assert {reason: (one.count, one.lines) for reason, one in card.rejected.items()} == {
        "element not in the vocabulary qm9-charged: Si": (1, (7,)),
        "more than one fragment (salt, solvate or mixture)": (2, (4, 11)),
        "not a SMILES": (1, (5,)),
    }
    assert card.sizes == {3: 3, 4: 1, 6: 1}
    assert card.atoms == {"C": 15, "N": 2, "O": 2}
    assert card.bonds == {"single": 4 + 3 + 3 + 4, "double": 3}
    assert card.scaffolds == 3
    assert [(one.smiles, one.count) for one in card.largest_scaffolds] == [("", 2), ("C1CC1", 2), ("c1ccncc1", 1)]


def test_molecules_that_differ_in_what_is_dropped_are_told(tmp_path: Path) -> None:
    written = ["C[C@H](N)F", "C[C@@H](N)F", "CC(N)F", "C[C@H](N)F", "[2H]CO", "OC", "OC", "CCO"]
    card = open_shard(shard_file(tmp_path, written), "smiles", CHARGED, 0.05).card
    assert (card.kept, card.duplicates, card.alike) == (3, 5, 4)
    assert card.dropped == {"isotopes": 1, "stereo": 1}
    assert "2 of 8" not in " ".join(left_out(card))
    assert "4 are left out: they differ from others only in stereo or isotopes" in left_out(card)


def test_one_substance_in_several_forms_is_one_graph_and_told(tmp_path: Path) -> None:
    written = ["NCCC(O)=O", "[NH3+]CCC([O-])=O", "NCCC(O)=O.Cl", "Oc1ccccn1", "CCN.Cl", "OCC", "CCO", "CC1CC1.CC1CN1"]
    path, cache = shard_file(tmp_path, written), tmp_path / "cache"
    shard = open_shard(path, "smiles", vocabulary.get("qm9-charged", "parent"), 0.05, cache)
    card = shard.card
    assert shard.smiles == ["NCCC(=O)O", "O=c1cccc[nH]1", "CCN", "CCO"]
    assert (card.recipe, card.kept, card.duplicates, card.alike, card.rejected_rows) == ("parent", 4, 3, 2, 1)
    assert card.changed == {TAUTOMER: 1, SALTS: 1, CHARGES: 0}
    told = left_out(card)
    assert "1 of 4 molecules are standardised: another tautomer taken" in told
    assert (
        "2 are left out: they differ from others only in stereo or isotopes, or in what the recipe standardises" in told
    )
    without = open_shard(path, "smiles", CHARGED, 0.05, cache)
    assert (without.card.recipe, without.card.kept, without.card.changed) == ("none", 4, {})
    assert without.card.vocabulary_digest != card.vocabulary_digest


def test_card_survives_json_and_refuses_what_does_not_add_up(tmp_path: Path) -> None:
    card = open_shard(shard_file(tmp_path, MIXED), "smiles", CHARGED, 0.05).card
    assert DataCard.from_json(card.to_json()) == card
    with pytest.raises(FedmolError, match="not a data card"):
        DataCard.from_json(card.to_json().replace('"kept": 5', '"kept": 6'))


def test_cache_gives_the_same_shard_without_encoding_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, cache = shard_file(tmp_path, MIXED), tmp_path / "cache"
    first = open_shard(path, "smiles", CHARGED, 0.3, cache)
    (file,) = cache.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600

    def refuse(*_: object) -> None:
        raise AssertionError("encoded again")

    monkeypatch.setattr(fedmol.data.shards, "encode_table", refuse)
    again = open_shard(path, "smiles", CHARGED, 0.3, cache)
    assert (again.smiles, again.card) == (first.smiles, first.card)
    for name in ("atoms", "bonds", "counts"):
        assert torch.equal(getattr(again.graphs, name), getattr(first.graphs, name))
    assert torch.equal(again.held_out, first.held_out)


def test_cache_is_not_used_for_other_content_or_vocabulary_or_when_damaged(tmp_path: Path) -> None:
    path, cache = shard_file(tmp_path, MIXED), tmp_path / "cache"
    open_shard(path, "smiles", CHARGED, 0.05, cache)
    (file,) = cache.iterdir()
    file.write_bytes(file.read_bytes()[:100])
    assert len(open_shard(path, "smiles", CHARGED, 0.05, cache)) == 5
    assert len(open_shard(path, "smiles", vocabulary.get("drug"), 0.05, cache)) == 5
    shard_file(tmp_path, [*MIXED, "CCCC"])
    assert len(open_shard(path, "smiles", CHARGED, 0.05, cache)) == 6
    assert len(list(cache.iterdir())) == 3


def test_a_flipped_bit_anywhere_in_the_cache_makes_it_again(tmp_path: Path) -> None:
    path, cache = shard_file(tmp_path, MIXED), tmp_path / "cache"
    first = open_shard(path, "smiles", CHARGED, 0.3, cache)
    (file,) = cache.iterdir()
    content = file.read_bytes()
    for at in range(0, len(content), len(content) // 50):
        damaged = bytearray(content)
        damaged[at] ^= 1
        file.write_bytes(damaged)
        again = open_shard(path, "smiles", CHARGED, 0.3, cache)
        assert (again.smiles, again.card) == (first.smiles, first.card)
        assert torch.equal(again.graphs.bonds, first.graphs.bonds)
        assert file.read_bytes() == content


def test_a_shard_on_the_disk_is_the_one_that_was_built(tmp_path: Path) -> None:
    write_table(tmp_path / "site.csv", [*MIXED, *embedded()[:300]])
    path, cache = tmp_path / "site.csv", tmp_path / "cache"
    built = open_shard(path, "smiles", CHARGED, 0.3)
    made = open_shard(path, "smiles", CHARGED, 0.3, cache)
    for one in (made, open_shard(path, "smiles", CHARGED, 0.3, cache)):
        assert (one.smiles, one.card) == (built.smiles, built.card)
        assert torch.equal(one.held_out, built.held_out)
        assert torch.equal(one.held_out, held_out(one.smiles, 0.3))
        digests = [shard_digest("run", shard.training, shard.validation) for shard in (one, built)]
        assert digests[0] == digests[1]
        sides = [side.dense() for side in (one.training, one.validation)]
        expected = [one.graphs[~one.held_out], one.graphs[one.held_out]]
        for side, graphs in zip(sides, expected, strict=True):
            assert torch.equal(side.bonds, graphs.trimmed().bonds)
        entries = encode(one.smiles, CHARGED).graphs
        assert torch.equal(one.graphs.bonds, entries.bonds)
        assert one.training.atoms.untyped_storage().data_ptr() == one.stored.atoms.untyped_storage().data_ptr()


def test_the_share_for_validation_has_a_cache_of_its_own(tmp_path: Path) -> None:
    path, cache = shard_file(tmp_path, list(embedded()[:100])), tmp_path / "cache"
    sides = {share: len(open_shard(path, "smiles", CHARGED, share, cache).validation) for share in (0.1, 0.5)}
    assert sides[0.1] < sides[0.5]
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("replaced", [False, True])
def test_what_is_opened_stays_when_the_cache_is_replaced_or_gone(tmp_path: Path, replaced: bool) -> None:
    path, cache = shard_file(tmp_path, MIXED), tmp_path / "cache"
    shard = open_shard(path, "smiles", CHARGED, 0.3, cache)
    before = shard_digest("run", shard.training, shard.validation)
    (file,) = cache.iterdir()
    if replaced:
        sealed.save(file, {"atoms": shard.stored.atoms.numpy() * 0}, {})
    else:
        file.unlink()
    assert shard_digest("run", shard.training, shard.validation) == before


@pytest.mark.parametrize("name", ["atoms", "bonds", "counts", "bond_counts", "ends", "smiles", "held_out"])
def test_a_cache_whose_lengths_differ_is_made_again(tmp_path: Path, name: str) -> None:
    path, cache = shard_file(tmp_path, MIXED), tmp_path / "cache"
    open_shard(path, "smiles", CHARGED, 0.3, cache)
    (file,) = cache.iterdir()
    content = file.read_bytes()
    arrays, meta = sealed.load(file, 2**20)
    sealed.save(file, {**arrays, name: arrays[name][:2]}, meta)
    open_shard(path, "smiles", CHARGED, 0.3, cache)
    assert file.read_bytes() == content


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("atoms", 0, -1),
        ("atoms", 0, len(CHARGED.atoms)),
        ("bonds", 0, 0),
        ("bonds", 0, len(CHARGED.bonds)),
        ("bonds", (0, 1), 0),
        ("bonds", (0, 1), 2),
        ("counts", 0, 2**62),
        ("counts", 0, 0),
        ("bond_counts", 0, -1),
        ("ends", (0, 0), -1),
        ("ends", (0, 1), 3),
        ("ends", (1, 0), 2),
        ("smiles", 0, ord("\n")),
        ("smiles", 0, 0),
        ("smiles", 0, 200),
    ],
)
def test_a_cache_with_other_codes_than_the_vocabulary_s_is_made_again(
    tmp_path: Path, name: str, place: int | tuple[int, int], value: int
) -> None:
    path, cache = shard_file(tmp_path, ["CCO", "CCN", "CCF"]), tmp_path / "cache"
    open_shard(path, "smiles", CHARGED, 0.3, cache)
    (file,) = cache.iterdir()
    content = file.read_bytes()
    arrays, meta = sealed.load(file, 2**20)
    arrays[name][place] = value
    sealed.save(file, arrays, meta)
    open_shard(path, "smiles", CHARGED, 0.3, cache)
    assert file.read_bytes() == content


@pytest.mark.parametrize("name", ["atoms", "bonds", "counts", "bond_counts", "ends", "smiles", "held_out"])
def test_a_cache_of_other_types_or_shapes_is_made_again(tmp_path: Path, name: str) -> None:
    path, cache = shard_file(tmp_path, MIXED), tmp_path / "cache"
    open_shard(path, "smiles", CHARGED, 0.3, cache)
    (file,) = cache.iterdir()
    content = file.read_bytes()
    arrays, meta = sealed.load(file, 2**20)
    for other in (arrays[name].astype(np.float32), arrays[name][None], np.array(1)):
        sealed.save(file, {**arrays, name: other}, meta)
        open_shard(path, "smiles", CHARGED, 0.3, cache)
        assert file.read_bytes() == content


@pytest.mark.parametrize(
    ("smiles", "code", "message"),
    [
        (["CCO", "x", "y", "C.C"], Exit.BAD_DATA, r"only 1 of 4 rows .*2 rows: not a SMILES \(lines 3, 4\)"),
        (["x"], Exit.BAD_DATA, "none of 1 rows"),
        (["CCO", "OCC"], Exit.BAD_DATA, "holds 1 different molecule in 2 rows, and at least 2"),
        (["CCO", "CCN", "CBr", "CCl", "C" * 30, "x"], Exit.VOCABULARY_DIFFERS, "only 2 of 6 rows"),
    ],
    ids=["rubbish", "nothing", "one molecule", "other vocabulary"],
)
def test_shard_of_which_too_little_is_left_is_refused(
    tmp_path: Path, smiles: list[str], code: Exit, message: str
) -> None:
    with pytest.raises(FedmolError, match=f"(?s){message}") as caught:
        open_shard(shard_file(tmp_path, smiles), "smiles", CHARGED, 0.05)
    assert caught.value.exit is code


def test_half_rejected_is_still_a_shard(tmp_path: Path) -> None:
    assert len(open_shard(shard_file(tmp_path, ["CCO", "CCN", "x", "y"]), "smiles", CHARGED, 0.05)) == 2


def test_training_and_validation_are_the_whole_shard_and_never_empty(tmp_path: Path) -> None:
    for share in (1e-9, 0.05, 0.5, 1 - 1e-9):
        shard = open_shard(shard_file(tmp_path, ["CCO", "CCN"]), "smiles", CHARGED, share)
        assert len(shard.training) == len(shard.validation) == 1


def test_a_molecule_is_held_out_at_every_site_or_at_none() -> None:
    smiles = list(embedded()[:2000])
    everywhere = dict(zip(smiles, held_out(smiles, 0.1).tolist(), strict=True))
    site = smiles[700:1500][::-1]
    assert held_out(site, 0.1).tolist() == [everywhere[one] for one in site]
    assert 120 < sum(everywhere.values()) < 280


def test_a_cache_of_the_former_layout_is_made_again(tmp_path: Path) -> None:
    """Codes of one byte, and each bond with one class for both ends."""
    path, cache = shard_file(tmp_path, MIXED), tmp_path / "cache"
    expected = open_shard(path, "smiles", CHARGED, 0.3, cache)
    (file,) = cache.iterdir()
    content = file.read_bytes()
    arrays, meta = sealed.load(file, 2**20)
    former = {"atoms": arrays["atoms"].astype(np.int8), "bonds": arrays["bonds"][:, 0]}
    sealed.save(file, {**arrays, **former}, meta)
    again = open_shard(path, "smiles", CHARGED, 0.3, cache)
    assert file.read_bytes() == content
    assert torch.equal(again.graphs.bonds, expected.graphs.bonds)


def test_properties_stay_with_a_shard_on_the_disk_and_in_its_digest(tmp_path: Path) -> None:
    path, cache = shard_file(tmp_path, MIXED), tmp_path / "cache"
    shard = open_shard(path, "smiles", CHARGED, 0.3, cache)
    (file,) = cache.iterdir()
    arrays, meta = sealed.load(file, 2**20)
    table = np.array([[1.5, np.nan]] * len(shard), np.float32)
    sealed.save(file, {**arrays, "properties": table}, meta)
    measured = open_shard(path, "smiles", CHARGED, 0.3, cache)
    assert measured.training.properties is not None
    assert np.array_equal(measured.training.properties, table[: len(measured.training)], equal_nan=True)
    digests = {shard_digest("run", one.training, one.validation) for one in (shard, measured)}
    assert len(digests) == 2


def test_a_digest_tells_codes_beyond_a_byte_apart() -> None:
    graphs = encode(["CCO", "CC"], CHARGED).ragged
    wide = [replace(graphs, atoms=graphs.atoms + more) for more in (0, 127, 128, 256, 384)]
    assert len({shard_digest("run", one, one) for one in wide}) == 5


def test_a_shard_s_digest_is_of_its_graphs_their_order_their_side_and_the_run() -> None:
    graphs = encode(["CCO", "CC", "C1CC1", "CC#N", "CCCO", "OCCO", "CNC"], CHARGED).ragged
    part = graphs.select
    digest = shard_digest("trial", part(slice(5)), part(slice(5, None)))
    assert digest == "e37eab92d789823dba2e933568c7167b18e2c311aebd6e19d3ace2e98347b636"  # as it has always been
    others = [
        shard_digest("other", part(slice(5)), part(slice(5, None))),
        shard_digest("trial", part(slice(6)), part(slice(6, None))),
        shard_digest("trial", part(slice(5, None)), part(slice(5))),
        shard_digest("trial", part(torch.tensor([1, 0, 2, 3, 4])), part(slice(5, None))),
        shard_digest("trial", part(slice(4)), part(slice(5, None))),
        shard_digest("trial", part(slice(5)), part(slice(6, None))),
    ]
    assert len({digest, *others}) == 7
