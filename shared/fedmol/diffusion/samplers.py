"""The samplers by name: how each goes from pure noise to a clean graph with one denoiser."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from fedmol.diffusion.posterior import interpolation, mixture_posterior
from fedmol.errors import Exit, FedmolError


@dataclass(frozen=True)
class Draw:
    """How the earlier class of an entry is drawn from the prediction."""

    memory: float | None = None  # of `interpolation`; None for the mixture posterior
    temperature: float = 1.0  # divides the logits

    def distribution(self, logits: Tensor, noisy: Tensor, kept_s: Tensor, kept_t: Tensor, marginal: Tensor) -> Tensor:
        """p(z_s | z_t); shapes as in `posterior`, `logits` (..., k) of the clean classes."""
        clean = (logits / self.temperature).softmax(-1)
        if self.memory is None:
            return mixture_posterior(clean, noisy, kept_s, kept_t, marginal)
        return interpolation(clean, noisy, kept_s, kept_t, marginal, self.memory)


@dataclass(frozen=True)
class Sampler:
    """At which times the denoiser is asked, and what is drawn from its answers."""

    name: str
    steps: int | None  # jumps to time 0; one for every diffusion step when None
    warp: float = 1.0  # of `time_grid`
    atoms: Draw = Draw()
    bonds: Draw = Draw()

    def times(self, diffusion_steps: int, steps: int | None = None) -> list[int]:
        """The times of the network's calls, in `steps` jumps instead of the sampler's own number where given."""
        return time_grid(diffusion_steps, steps or self.steps or diffusion_steps, self.warp)


def time_grid(last: int, steps: int, warp: float = 1.0) -> list[int]:
    """Falling integer times from `last` to 0 in `steps` jumps, or in as many as there are integers.

    Jumps are even for `warp` 1. Above, they get shorter towards the end, where a wrong class does the most harm.
    """
    jumps = max(1, min(steps, last))
    times = [last]
    for left in reversed(range(jumps)):
        ideal = round(last * (left / jumps) ** warp)
        times.append(max(min(ideal, times[-1] - 1), left))  # room for the jumps that are left
    return times


# The reference's: every diffusion step, each a draw from the mixture posterior.
ANCESTRAL = Sampler("ancestral", steps=None)
# Bonds are drawn anew at every step, so they follow the atoms; atoms are kept where they can be. Otherwise a nitrogen
# with a bond too many would rather become a carbon than lose the bond, and carbons would become too many: what is left
# of that shift the temperature takes away. Measured in docs/results/model.md.
FEW_STEP = Sampler("few-step", steps=25, warp=3.0, atoms=Draw(memory=1.0, temperature=1.1), bonds=Draw(memory=0.0))

_SAMPLERS = {sampler.name: sampler for sampler in (FEW_STEP, ANCESTRAL)}


def get(name: str) -> Sampler:
    """The sampler called `name`.

    Raises:
        FedmolError: BAD_SETTINGS when there is none.
    """
    if name not in _SAMPLERS:
        raise FedmolError(Exit.BAD_SETTINGS, f"there is no sampler {name!r}", f"use one of {', '.join(_SAMPLERS)}")
    return _SAMPLERS[name]
