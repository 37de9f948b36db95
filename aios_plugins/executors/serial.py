"""One job after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping
from typing import Any

from attrs import frozen

from aios_core.contracts import Executor, Outcome
from aios_core.contracts.executor import Schedule


@frozen
class Serial(Executor):
    """Run jobs here, one by one: a debugger works, and a job that kills its process kills all."""

    def run(
        self,
        function: Callable[..., Any],
        jobs: Mapping[str, tuple[Any, ...]],
        *,
        after: Mapping[str, Collection[str]] | None = None,
        started: Callable[[str], None] = lambda _: None,
    ) -> Generator[Outcome, None, None]:
        """Run each job when it is its turn; see the contract."""
        schedule = Schedule(jobs, after)
        while (key := schedule.next()) is not None:
            started(key)
            outcome = Outcome.of(key, function, jobs[key])
            yield from schedule.finish(outcome)
