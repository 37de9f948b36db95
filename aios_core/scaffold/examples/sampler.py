"""A sampler: one class and the hook that offers it."""

from attrs import frozen

import aios_core
from aios_core import contracts

AIOS_API = 1


@frozen
class Reveal(contracts.StepSampler):
    """Reveal each masked token with the probability that the schedule gives it."""

    exact = "in the limit"

    def step(self, x, t, s, log_probs, context):
        """From time t to the earlier time s; x is (B, L), log_probs is (B, L, V)."""
        stay = context.noise.mask_rate(s) / context.noise.mask_rate(t)
        reveal = context.masked(x) & (context.uniform() >= stay)
        return context.categorical(log_probs, reveal).where(reveal, x)


@aios_core.hookimpl
def aios_samplers():
    """Names, and the classes they stand for."""
    return {"reveal": Reveal}
