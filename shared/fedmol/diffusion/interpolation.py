"""A family of ways from time t to an earlier s that all reach q(z_s | x), and differ in how much of z_t they keep.

Same shapes and names as in `posterior`. With `memory` 0 the noise is drawn anew: z_s depends on z_t through the
prediction alone, so no mistake is carried along (simple iterative denoising, Boget 2025); but as entries are drawn
independently, joint distributions then stay a little wrong however many steps there are. With 1 as much of z_t stays
as can: classes change only towards the prediction (the velocity of discrete flow matching, Gat et al. 2024; the
discrete DDIM of Song et al. 2021, appendix A). What lies between adds noise and takes it away again, as the
stochasticity of Campbell et al. 2024 does.
"""

from __future__ import annotations

from torch import Tensor


def interpolation(
    clean: Tensor, noisy: Tensor, kept_s: Tensor, kept_t: Tensor, marginal: Tensor, memory: float
) -> Tensor:
    """p(z_s | z_t) for the prediction `clean` (..., k): z_t with some probability, else `clean`, else a marginal draw.

    For a known x, averaging over q(z_t | x) gives q(z_s | x) whatever `memory` is.
    """
    stays = memory * (1 - kept_s) / (1 - kept_t)
    arrives = kept_s - stays * kept_t
    drawn = arrives[..., None] * clean + ((1 - memory) * (1 - kept_s))[..., None] * marginal
    return drawn.scatter_add(-1, noisy.long()[..., None], stays.expand(noisy.shape)[..., None])  # (..., k)
