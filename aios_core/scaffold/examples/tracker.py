"""A tracker: one class and the hook that offers it."""

from attrs import frozen

import aios_core
from aios_core import contracts
from aios_core.contracts.tracker import Tracking

AIOS_API = 1


class _Printing(Tracking):
    def log(self, values, step):
        """One record."""
        print(step, dict(values))

    def finish(self):
        """Close what is open."""


@frozen
class Print(contracts.Tracker):
    """Print every record."""

    def start(self, folder, config, *, step=0):
        """Begin, or go on behind a step."""
        return _Printing()


@aios_core.hookimpl
def aios_trackers():
    """Names, and the classes they stand for."""
    return {"print": Print}
