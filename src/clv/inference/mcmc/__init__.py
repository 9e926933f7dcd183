"""Markov chain Monte Carlo: the only part of the package that knows PyMC, nutpie and ArviZ.

Everything heavy is imported when it is used.
"""

from clv.inference.mcmc.diagnostics import diagnose
from clv.inference.mcmc.sampling import Drawn, sample

__all__ = ["Drawn", "diagnose", "sample"]
