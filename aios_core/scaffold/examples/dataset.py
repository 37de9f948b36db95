"""A data set: one class and the hook that offers it."""

from attrs import field, frozen, validators

import aios_core
from aios_core import contracts

AIOS_API = 1


@frozen
class Counting(contracts.Dataset):
    """The numbers in decimal, one document each."""

    upto: int = field(default=1000, validator=validators.ge(10))
    """The first number that is left out."""

    def documents(self):
        """Texts, the same in the same order each time."""
        return map(str, range(self.upto))


@aios_core.hookimpl
def aios_datasets():
    """Names, and the classes they stand for."""
    return {"counting": Counting}
