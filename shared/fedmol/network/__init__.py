"""Denoisers: which clean graph does a noisy one come from?"""

from fedmol.diffusion.denoising import Logits
from fedmol.network.config import PRESETS, DenoiserConfig
from fedmol.network.denoiser import Denoiser, build

__all__ = ["PRESETS", "Denoiser", "DenoiserConfig", "Logits", "build"]
