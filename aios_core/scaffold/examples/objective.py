"""An objective: one class and the hook that offers it."""

from attrs import field, frozen, validators

import aios_core
from aios_core import contracts
from aios_core.diffusion.objective import nelbo

AIOS_API = 1


@frozen
class Tempered(contracts.Objective):
    """The bound with less weight where little is masked: for training, no bound."""

    bound = False
    power: float = field(default=0.5, validator=validators.ge(0))
    """Of the time; 0 is the bound itself."""

    def losses(self, model, x0, valid, times, generator):
        """(B,) nats, sums over positions; x0 and valid are (B, L), times (B, N)."""
        return times.mean(-1) ** self.power * nelbo(model, x0, valid, times, generator)


@aios_core.hookimpl
def aios_objectives():
    """Names, and the classes they stand for."""
    return {"tempered": Tempered}
