"""A noise schedule: one class and the hook that offers it."""

from attrs import field, frozen, validators

import aios_core
from aios_core import contracts

AIOS_API = 1


@frozen
class Power(contracts.NoiseScheduler):
    """Keep a token until time t with probability 1 - t**k."""

    k: float = field(default=1.5, validator=validators.gt(0))
    """Larger: information is destroyed later."""

    def alpha(self, t):
        """1 at t = 0, 0 at t = 1, decreasing; t and the answer are float64 tensors."""
        return 1 - t**self.k


@aios_core.hookimpl
def aios_noise_schedulers():
    """Names, and the classes they stand for."""
    return {"power": Power}
