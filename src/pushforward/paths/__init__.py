"""Probability paths: from the base distribution to the data.

One convention of time, everywhere in this package: **t = 0 is the base (noise), t = 1 is the data**, the direction in
which a model pushes forward. The discrete chain of DDPM keeps the step index of its paper, k = 0 (data) to k = T
(noise); networks see t = 1 - k/T, so a field is always asked for a time in [0, 1] with the data at 1.
"""

from .gaussian import diffuse, epsilon_from_x0, kl_to_base, posterior, straight, x0_from_epsilon
from .schedules import SCHEDULES, Schedule

__all__ = [
    "SCHEDULES",
    "Schedule",
    "diffuse",
    "epsilon_from_x0",
    "kl_to_base",
    "posterior",
    "straight",
    "x0_from_epsilon",
]
