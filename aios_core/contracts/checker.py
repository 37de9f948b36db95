"""Checkers: whether a sample is right, where more than one may be."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aios_core.contracts.rows import Completion


class Checker(ABC):
    """Says whether a sample is right; a metric holds one (``metrics.checker``).

    What it is given was written by a network or by others: it may be of any length and hold any
    characters. A whole checker is in ``aios_core/scaffold/examples/checker.py``.
    """

    @abstractmethod
    def check(self, completion: Completion) -> bool:
        """Whether a sample is right; True or False whatever it holds, and never an error.

        A text is read and never run. The row has what was given, and a reference of which the
        sample may differ and still be right.
        """
