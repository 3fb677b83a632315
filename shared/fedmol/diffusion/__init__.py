"""Discrete diffusion on molecular graphs (DiGress, Vignac et al. 2023): noise, loss, likelihood and sampling."""

from fedmol.diffusion.census import Census
from fedmol.diffusion.conditions import Conditions
from fedmol.diffusion.denoising import Denoises, Logits
from fedmol.diffusion.forward import add_noise, stratified_times
from fedmol.diffusion.likelihood import Likelihood, nll
from fedmol.diffusion.loss import loss
from fedmol.diffusion.noise_model import NoiseModel
from fedmol.diffusion.sampling import sample

__all__ = [
    "Census",
    "Conditions",
    "Denoises",
    "Likelihood",
    "Logits",
    "NoiseModel",
    "add_noise",
    "loss",
    "nll",
    "sample",
    "stratified_times",
]
