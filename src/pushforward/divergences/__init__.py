"""Distances between distributions that are known: what each of them sees, and what attains it.

>>> from pushforward.divergences import kl, total_variation, wasserstein1
>>> print(wasserstein1([0.5, 0.5, 0.0], [0.0, 0.5, 0.5]))
1 (integral of |F_p - F_q|)

Everything is in float64, and every result says whether it is exact, quadrature with its error, or an estimate.
"""

from .discriminator import Discriminator, GanValue, gan_objective, gan_value, optimal_discriminator
from .distributions import Discrete, Gaussian, Mixture, Samples, as_distribution
from .entropies import jensen_shannon, kl
from .neighbours import kl_neighbours
from .pictures import draw_line_segments, draw_plan
from .plan import Move, Plan
from .potentials import Potential, kantorovich_potentials
from .segments import LineSegments, line_segments
from .transport import Transport, wasserstein1, wasserstein2
from .values import Divergence, Event, TotalVariation
from .variation import total_variation

__all__ = [
    "Discrete",
    "Discriminator",
    "Divergence",
    "Event",
    "GanValue",
    "Gaussian",
    "LineSegments",
    "Mixture",
    "Move",
    "Plan",
    "Potential",
    "Samples",
    "TotalVariation",
    "Transport",
    "as_distribution",
    "draw_line_segments",
    "draw_plan",
    "gan_objective",
    "gan_value",
    "jensen_shannon",
    "kantorovich_potentials",
    "kl",
    "kl_neighbours",
    "line_segments",
    "optimal_discriminator",
    "total_variation",
    "wasserstein1",
    "wasserstein2",
]
