"""Sources that are made here, from a seed, with their exact densities and entropies where they have them."""

from .source import entropy as entropy
from .source import log_density as log_density
