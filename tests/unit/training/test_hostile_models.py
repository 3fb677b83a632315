"""Model files that somebody made to do harm: each is refused in little time and memory, and says by what."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fedmol.chem import vocabulary as vocabularies
from fedmol.diffusion import Census, NoiseModel
from fedmol.errors import Exit, FedmolError
from fedmol.models import build
from fedmol.training import load_model, save_model

COUNTS = {
    "atoms": [12_345, 679, 1009, 1],
    "bonds": [80_002, 19_999, 1500, 77, 0],
    "sizes": [0, 1, 2, 7, 29, 211, 13, 0, 1, 3],
}
CENSUS = Census.from_json(COUNTS)
_MEMORY = 100 * 2**20  # bytes more than a good model takes


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    denoiser = build("small", 4, 5, 9, seed=0, layers=1)
    save_model(path, denoiser, preset="small", vocabulary=vocabularies.get("qm9"), noise=NoiseModel.from_census(CENSUS))
    return path


def _taken_apart(path: Path) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    return header, json.loads(header["__metadata__"]["fedmol"]), content[end:]


def _put_together(path: Path, header: dict[str, Any] | str, said: Any, weights: bytes) -> None:
    if isinstance(header, dict):
        header["__metadata__"] = {"fedmol": said if isinstance(said, str) else json.dumps(said)}
        header = json.dumps(header)
    text = header.encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + weights)


def _is_read(path: Path) -> bool:
    try:
        load_model(path)
    except FedmolError:
        return False
    return True


def _refused(path: Path) -> str:
    with pytest.raises(FedmolError) as refused:
        load_model(path)
    assert refused.value.exit is Exit.BAD_MODEL
    assert str(path) in refused.value.message
    return refused.value.message


@pytest.mark.parametrize("precision", [torch.float32, torch.float16])
def test_a_flipped_bit_is_never_passed_over(good: Path, precision: torch.dtype) -> None:
    """Wherever it is: the file is refused, or what is read is what was written."""
    model = load_model(good)
    denoiser = model.denoiser.to(precision).to(torch.float32)
    save_model(good, denoiser, preset="small", vocabulary=model.vocabulary, noise=model.noise, precision=precision)
    content, chance = good.read_bytes(), random.Random(0)
    _, said, weights = _taken_apart(good)
    passed = 0
    for place in [*chance.sample(range(len(content) - len(weights)), 300), *chance.sample(range(len(content)), 30)]:
        good.write_bytes(content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :])
        if _is_read(good):
            assert _taken_apart(good)[1:] == (said, weights)
            passed += 1
    assert passed < 10


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("max_atoms", 4000),
        ("layers", 20_000),
        ("layers", 0),
        ("layers", True),
        ("layers", 1.0),
        ("layers", "1"),
        ("noise_steps", 300_000_000),
        ("noise_steps", 10**400),
        ("atom_types", 10**9),
        ("bond_types", -5),
        ("format", 5),
        ("preset", "../small"),
        ("preset", ["small"]),
        ("vocabulary", "x" * 10**6),
        ("vocabulary", {}),
        ("meta", []),
        ("marginals", None),
        ("unknown", 1),
    ],
)
def test_what_it_says_is_typed_and_bounded(good: Path, entry: str, value: Any) -> None:
    header, said, weights = _taken_apart(good)
    said[entry] = value
    _put_together(good, header, said, weights)
    assert entry in _refused(good)


@pytest.mark.parametrize(
    "shares",
    [
        [1.0] * 4,
        [0.5, 0.5],
        [1, 0, 0, "0"],
        [float("nan")] * 4,
        [2, -1, 0, 0],
        [0] * 4,
        [[1], 0, 0, 0],
        [True, 0, 0, 0],
    ],
)
def test_shares_are_shares(good: Path, shares: list[Any]) -> None:
    header, said, weights = _taken_apart(good)
    said["marginals"]["atoms"] = shares
    _put_together(good, header, said, weights)
    assert "atoms" in _refused(good)


def _of_another_shape(entry: dict[str, Any]) -> None:
    entry["shape"] = [*entry["shape"][::-1], 1]


def _enormous(entry: dict[str, Any]) -> None:
    entry["shape"] = [2**31, 2**31]


def _beyond_the_end(entry: dict[str, Any]) -> None:
    entry["data_offsets"] = [one + 2**40 for one in entry["data_offsets"]]


def _of_doubles(entry: dict[str, Any]) -> None:
    entry["dtype"] = "F64"


def _overlapping(entry: dict[str, Any]) -> None:
    entry["data_offsets"][0] -= 4


@pytest.mark.parametrize("lie", [_of_another_shape, _enormous, _beyond_the_end, _of_doubles, _overlapping])
def test_tensors_that_are_not_those_of_the_model_are_named(good: Path, lie: Callable[[dict[str, Any]], None]) -> None:
    header, said, weights = _taken_apart(good)
    name = sorted(header, key=lambda name: header[name].get("data_offsets", [0])[0])[-1]
    lie(header[name])
    _put_together(good, header, said, weights)
    assert name in _refused(good)


def test_a_tensor_too_many_or_too_few_is_named(good: Path) -> None:
    header, said, weights = _taken_apart(good)
    name = next(name for name in header if name != "__metadata__")
    other = {**header, "other": header[name]}
    _put_together(good, other, said, weights)
    assert "other" in _refused(good)
    del header[name]
    _put_together(good, header, said, weights)
    assert name in _refused(good)


def test_weights_that_are_no_numbers_are_refused(good: Path) -> None:
    header, said, weights = _taken_apart(good)
    _put_together(good, header, said, weights[:-4] + b"\xff\xff\xff\x7f")
    assert "finite" in _refused(good)


def test_a_file_cut_off_or_with_something_behind_is_refused(good: Path) -> None:
    content = good.read_bytes()
    for wrong in (content[:-1], content + b"x", content[:100], content[:8], content[:3], b""):
        good.write_bytes(wrong)
        _refused(good)


@pytest.mark.parametrize("deep", ["[" * 200_000, '{"a":' * 200_000, "[" * 40 + "]" * 40])
def test_depth_is_bounded(good: Path, deep: str) -> None:
    header, _said, weights = _taken_apart(good)
    _put_together(good, header, deep, weights)
    assert "deep" in _refused(good)
    _put_together(good, deep, None, weights)
    assert "deep" in _refused(good)


def test_nothing_is_said_twice(good: Path) -> None:
    header, said, weights = _taken_apart(good)
    _put_together(good, header, json.dumps(said)[:-1] + ', "layers": 1}', weights)
    assert "layers" in _refused(good)


def test_a_header_of_a_gigabyte_is_not_read(good: Path) -> None:
    with good.open("wb") as file:
        file.write((10**9).to_bytes(8, "little") + b"{")
        file.truncate(10**9 + 8)
    _refused(good)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [_pipe, _endless, Path.mkdir])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "model.safetensors"
    make(path)
    _refused(path)


def test_memory_stays_that_of_a_good_model(good: Path) -> None:
    """In a process that may take a little more memory than a good model needs."""
    header, said, weights = _taken_apart(good)
    hostile = []
    for number, (entry, value) in enumerate([("max_atoms", 4000), ("layers", 20_000), ("noise_steps", 3 * 10**8)]):
        path = good.with_name(f"hostile{number}.safetensors")
        told = (
            {**said, "vocabulary": {**said["vocabulary"], entry: value}}
            if entry == "max_atoms"
            else {**said, entry: value}
        )
        _put_together(path, dict(header), told, weights)
        hostile.append(str(path))
    code = f"""
import re, sys
from pathlib import Path
from fedmol.errors import FedmolError
from fedmol.training import load_model

def peak():  # of this process; ru_maxrss also knows its parent's
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

load_model(Path(sys.argv[1]))
before = peak()
for path in sys.argv[2:]:
    try:
        load_model(Path(path))
    except FedmolError:
        continue
    sys.exit("not refused: " + path)
sys.exit(peak() - before > {_MEMORY // 1024})
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(good), *hostile], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_no_sum_of_the_sites_counts_is_in_the_file(good: Path) -> None:
    _, said, _ = _taken_apart(good)
    assert "census" not in said
    for name, shares in said["marginals"].items():
        counts = COUNTS[name]
        assert [share > 0 for share in shares] == [count > 0 for count in counts]
        for share, count in zip(shares, counts, strict=True):
            assert share == float(f"{share:.3e}")
            assert share == pytest.approx(count / sum(counts), rel=1e-3)


def _totals(shares: list[float], digits: int, most: int) -> int:
    """How many totals up to `most` there are whose classes have whole counts and these shares, to as many digits."""
    totals = torch.arange(1, most, dtype=torch.float64)
    fits = torch.ones_like(totals, dtype=torch.bool)
    for share in shares:
        if share:
            half = float(f"5e{int(f'{share:e}'.split('e')[1]) - digits}")
            fits &= ((share + half) * totals).floor() >= ((share - half) * totals).ceil().clamp_min(1)
    return int(fits.sum())


def test_from_four_digits_the_sums_cannot_be_found(good: Path) -> None:
    """From exact shares the total is the only one of its size; from those in a file thousands are as good."""
    total = sum(COUNTS["atoms"])
    exact = [count / total for count in COUNTS["atoms"]]
    assert _totals(exact, 12, 2 * total) == 1
    assert _totals(_taken_apart(good)[1]["marginals"]["atoms"], 4, 100 * total) > 1000


def test_a_model_of_format_1_is_read_and_its_census_is_bounded(good: Path) -> None:
    header, said, weights = _taken_apart(good)
    del said["marginals"]
    said |= {"format": 1, "census": COUNTS, "vocabulary": "qm9", "atom_types": 4, "bond_types": 5, "max_atoms": 9}
    _put_together(good, dict(header), said, weights)
    assert torch.equal(load_model(good).noise.atom_marginal, NoiseModel.from_census(CENSUS).atom_marginal)
    for wrong in ([1, 2, 3], [1, 2, 3, -1], [1, 2, 3, 10**30], [0, 0, 0, 0], [1.0, 2, 3, 4], "1234", None):
        _put_together(good, dict(header), {**said, "census": {**COUNTS, "atoms": wrong}}, weights)
        assert "atoms" in _refused(good)


def test_every_preset_with_the_most_layers_has_a_header_that_is_read() -> None:
    from safetensors.torch import save

    from fedmol.training.model_description import MOST_LAYERS
    from fedmol.training.safetensors_header import LARGEST

    def header(layers: int) -> int:
        state = build("digress", 4, 5, 9, 0, layers).state_dict()
        return len(save({name: tensor[:0] for name, tensor in state.items()}))

    assert header(2) + MOST_LAYERS * (header(2) - header(1)) * 1.2 < LARGEST / 2  # offsets are longer than these
