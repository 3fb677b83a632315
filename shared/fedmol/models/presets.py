"""The denoisers that can be built, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fedmol.errors import Exit, FedmolError


@dataclass(frozen=True)
class DenoiserConfig:
    """Sizes of a denoiser. Widths are in features; hidden sizes are those of the feed-forward parts."""

    kind: Literal["reference", "pairs"]
    layers: int
    node_width: int
    pair_width: int
    global_width: int
    heads: int
    node_hidden: int
    pair_hidden: int
    global_hidden: int
    dropout: float = 0.0
    walk_length: int = 0  # powers of the random walk given as features (pairs only)
    triangle_width: int = 0  # channels in which the sides of triangles are multiplied (pairs only)

    @property
    def only_eager(self) -> bool:
        """True where a call waits for the device, or has gradients that `torch.compile` does not see through."""
        return self.kind == "reference"


PRESETS: dict[str, DenoiserConfig] = {
    # configs/experiment/qm9_no_h.yaml of the reference; its dim_ffy is never passed on, so 2048 is what it runs with.
    "digress": DenoiserConfig(
        "reference",
        layers=9,
        node_width=256,
        pair_width=64,
        global_width=64,
        heads=8,
        node_hidden=256,
        pair_hidden=128,
        global_hidden=2048,
        dropout=0.1,
    ),
    "small": DenoiserConfig(
        "pairs",
        layers=4,
        node_width=128,
        pair_width=64,
        global_width=64,
        heads=8,
        node_hidden=256,
        pair_hidden=96,
        global_hidden=128,
        walk_length=8,
        triangle_width=16,
    ),
    "base": DenoiserConfig(
        "pairs",
        layers=6,
        node_width=128,
        pair_width=64,
        global_width=128,
        heads=8,
        node_hidden=256,
        pair_hidden=128,
        global_hidden=256,
        walk_length=8,
        triangle_width=16,
    ),
    "large": DenoiserConfig(
        "pairs",
        layers=6,
        node_width=192,
        pair_width=64,
        global_width=128,
        heads=8,
        node_hidden=384,
        pair_hidden=128,
        global_hidden=256,
        walk_length=8,
        triangle_width=16,
    ),
}


def preset(name: str) -> DenoiserConfig:
    """The preset called `name`.

    Raises:
        FedmolError: BAD_SETTINGS when there is none.
    """
    if name not in PRESETS:
        raise FedmolError(Exit.BAD_SETTINGS, f"there is no model preset {name!r}", f"use one of {', '.join(PRESETS)}")
    return PRESETS[name]
