"""Quantities that a fitted model implies: moments, expectations, probabilities of events, however rare."""

from .estimates import Estimate as Estimate
from .estimates import Moments as Moments
from .expectation import expectation as expectation
from .moments import moments as moments
from .probability import probability as probability
