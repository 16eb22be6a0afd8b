"""Numerical solvers as pure functions: ordinary differential equations, and reverse chains of diffusions."""

from .ancestral import ancestral, ddim, ddim_inverse
from .divergence import velocity_and_divergence
from .ode import SOLVERS, integrate

__all__ = ["SOLVERS", "ancestral", "ddim", "ddim_inverse", "integrate", "velocity_and_divergence"]
