"""Metrics of samples, each a pure function in float64: what they need is given, nothing is cached."""
