"""The samplers by name: how each goes from pure noise to a clean graph with one denoiser."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from fedmol.diffusion.interpolation import interpolation
from fedmol.diffusion.posterior import mixture_posterior
from fedmol.errors import Exit, FedmolError


@dataclass(frozen=True)
class Sampler:
    """At which times the denoiser is asked, and what is drawn from its answer."""

    name: str
    steps: int | None  # jumps between the first time and the last; one for every diffusion step when None
    memory: float | None = None  # of `interpolation`; None for draws from the mixture posterior
    temperature: float = 1.0  # divides the logits that are drawn from
    warp: float = 1.0  # of `time_grid`
    last: float = 0.0  # the time at which the most probable classes are taken, as a share of T

    def times(self, diffusion_steps: int, steps: int | None = None) -> list[int]:
        """The times of the network's calls, in `steps` jumps instead of the sampler's own number where given."""
        return time_grid(
            diffusion_steps, steps or self.steps or diffusion_steps, self.warp, round(self.last * diffusion_steps)
        )

    def transition(self, clean: Tensor, noisy: Tensor, kept_s: Tensor, kept_t: Tensor, marginal: Tensor) -> Tensor:
        """p(z_s | z_t) for the prediction `clean`; shapes as in `posterior`."""
        if self.memory is None:
            return mixture_posterior(clean, noisy, kept_s, kept_t, marginal)
        return interpolation(clean, noisy, kept_s, kept_t, marginal, self.memory)


def time_grid(first: int, steps: int, warp: float = 1.0, last: int = 0) -> list[int]:
    """Falling integer times from `first` to `last` in `steps` jumps, or as many as there are integers.

    The share of the way that is left falls evenly for `warp` 1; above, jumps get shorter towards the end.
    """
    jumps = max(1, min(steps, first - last))
    ideal = [last + (first - last) * ((jumps - jump) / jumps) ** warp for jump in range(jumps + 1)]
    times = [first]
    for jump, time in enumerate(ideal[1:], 1):
        times.append(max(min(round(time), times[-1] - 1), last + jumps - jump))
    return times


ANCESTRAL = Sampler("ancestral", steps=None)
FEW_STEP = Sampler("few-step", steps=50)

_SAMPLERS = {sampler.name: sampler for sampler in (FEW_STEP, ANCESTRAL)}


def get(name: str) -> Sampler:
    """The sampler called `name`.

    Raises:
        FedmolError: BAD_SETTINGS when there is none.
    """
    if name not in _SAMPLERS:
        raise FedmolError(Exit.BAD_SETTINGS, f"there is no sampler {name!r}", f"use one of {', '.join(_SAMPLERS)}")
    return _SAMPLERS[name]
