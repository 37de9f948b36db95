"""A checker: one class and the hook that offers it."""

from attrs import frozen

import aios_core
from aios_core import contracts

AIOS_API = 1


@frozen
class Palindrome(contracts.Checker):
    """An answer that reads the same from its end."""

    def check(self, completion):
        """Whether a sample is right."""
        return completion.answer != "" and completion.answer == completion.answer[::-1]


@aios_core.hookimpl
def aios_checkers():
    """Names, and the classes they stand for."""
    return {"palindrome": Palindrome}
