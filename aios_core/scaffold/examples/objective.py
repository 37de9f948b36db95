"""An objective: one class and the hook that offers it."""

from attrs import field, frozen, validators

import aios_core
from aios_core.diffusion.bounds import Bound

AIOS_API = 1


@frozen
class Tempered(Bound):
    """The bound with less weight where little is masked: for training, no bound."""

    bound = False
    power: float = field(default=0.5, validator=validators.ge(0))
    """Of the time; 0 is the bound itself."""

    def score(self, noisy, prediction, context):
        """(B,) nats, sums over positions; noisy.times are (B, N)."""
        weight = prediction.place(noisy.times.mean(-1) ** self.power)
        return weight * super().score(noisy, prediction, context)


@aios_core.hookimpl
def aios_objectives():
    """Names, and the classes they stand for."""
    return {"tempered": Tempered}
