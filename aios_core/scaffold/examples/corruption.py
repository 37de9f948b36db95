"""A corruption: one class and the hook that offers it."""

from attrs import field, frozen, validators

import aios_core
from aios_core import contracts

AIOS_API = 1


@frozen
class Mixture(contracts.Corruption):
    """A mask or any other token, in the same proportion at all times."""

    masks: float = field(default=0.8, validator=[validators.ge(0), validators.lt(1)])
    """Share of the masks."""

    def noise(self, alpha, vocabulary):
        """(..., V): what stands in the place of a token that did not survive; alpha is (...)."""
        share = alpha.new_full((vocabulary.size,), (1 - self.masks) / (vocabulary.size - 1))
        share[vocabulary.mask_id] = self.masks
        return share.expand(*alpha.shape, -1)


@aios_core.hookimpl
def aios_corruptions():
    """Names, and the classes they stand for."""
    return {"mixture": Mixture}
