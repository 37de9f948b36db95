"""A schedule of the learning rate: one class and the hook that offers it."""

from attrs import field, frozen, validators

import aios_core
from aios_core import contracts

AIOS_API = 1


@frozen
class Polynomial(contracts.LrSchedule):
    """From the peak down to zero, by a power of the steps that are left."""

    power: float = field(default=1.0, validator=[validators.gt(0), validators.le(100)])
    """Larger: it falls sooner."""

    def share(self, progress):
        """Share of the peak, from 0 to 1; progress is that of the steps after the warm-up."""
        return (1 - progress) ** self.power


@aios_core.hookimpl
def aios_lr_schedules():
    """Names, and the classes they stand for."""
    return {"polynomial": Polynomial}
