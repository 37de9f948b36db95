"""An estimator of uncertainty: one class and the hook that offers it."""

from attrs import frozen

import aios_core
from aios_core.contracts import UncertaintyEstimator

AIOS_API = 1


@frozen
class Surprise(UncertaintyEstimator):
    """How unlikely the text is, in nats a token."""

    def measure(self, level):
        """-log p of what stands there."""
        return -level.said


@aios_core.hookimpl
def aios_uncertainty_estimators():
    """Names, and the classes they stand for."""
    return {"surprise": Surprise}
