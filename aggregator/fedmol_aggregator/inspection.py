"""An upload is looked at before it counts: its length, its numbers, and how far it moved."""

from __future__ import annotations

import numpy as np

from fedmol.errors import Exit, FedmolError
from fedmol.federation.algorithms import Vector


def update_norm(current: Vector, update: Vector) -> float:
    """How far a site's training moved the model, in the Euclidean norm."""
    return float(np.linalg.norm(update.astype(np.float64) - current))


def inspect(site: str, current: Vector, update: Vector, limit_ratio: float) -> float:
    """The norm of an acceptable update.

    Raises:
        FedmolError: UPDATE_REFUSED when the update has the wrong length, holds NaN or infinity, or moved further than
            `limit_ratio` times the norm of the current model.
    """
    if update.shape != current.shape:
        raise _refusal(site, f"has {update.size} weights where the model has {current.size}", "install the same fedmol")
    if not np.isfinite(update).all():
        count = int((~np.isfinite(update)).sum())
        raise _refusal(
            site, f"holds {count} weights that are not finite", "look at the site's losses and lower the learning rate"
        )
    norm, limit = update_norm(current, update), limit_ratio * max(float(np.linalg.norm(current)), 1.0)
    if norm > limit:
        raise _refusal(
            site,
            f"moved the model by {norm:.4g}, the limit is {limit:.4g}",
            "look at the site's data and losses, or raise rounds.max_update_norm_ratio",
        )
    return norm


def _refusal(site: str, what: str, cure: str) -> FedmolError:
    return FedmolError(Exit.UPDATE_REFUSED, f"the update of {site} {what}", cure)
