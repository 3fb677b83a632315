"""Denoisers: which clean graph does a noisy one come from?"""

from fedmol.diffusion.denoising import Logits
from fedmol.models.denoiser import Denoiser, build
from fedmol.models.presets import PRESETS, DenoiserConfig

__all__ = ["PRESETS", "Denoiser", "DenoiserConfig", "Logits", "build"]
