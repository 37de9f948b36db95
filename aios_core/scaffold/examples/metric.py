"""A metric: one class and the hook that offers it."""

from attrs import frozen

import aios_core
from aios_core import contracts

AIOS_API = 1


@frozen
class Length(contracts.Metric):
    """How many characters samples have."""

    of = "samples"
    units = {"length": "characters"}

    def measure(self, evidence):
        """Values by name; none where the metric does not apply."""
        lengths = [len(text) for text in evidence.samples.texts]
        return {"length": contracts.Estimate.ratio(lengths, [1] * len(lengths))}


@aios_core.hookimpl
def aios_metrics():
    """Names, and the classes they stand for."""
    return {"length": Length}
