"""An executor: one class and the hook that offers it."""

from attrs import frozen

import aios_core
from aios_core import contracts
from aios_core.contracts.executor import Schedule

AIOS_API = 1


@frozen
class InOrder(contracts.Executor):
    """One job after the other, in this process."""

    def run(self, function, jobs, *, after=None, started=lambda _: None):
        """Yield one outcome a job; jobs are keys and arguments."""
        schedule = Schedule(jobs, after)
        while (key := schedule.next()) is not None:
            started(key)
            yield from schedule.finish(contracts.Outcome.of(key, function, jobs[key]))


@aios_core.hookimpl
def aios_executors():
    """Names, and the classes they stand for."""
    return {"in-order": InOrder}
