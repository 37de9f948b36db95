"""One job after the other, in this process."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Generator, Mapping
from typing import Any

from attrs import frozen

from aios_core.contracts import Executor, Outcome
from aios_core.contracts.executor import Schedule
from aios_core.errors import AIOSError


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
            try:
                outcome = Outcome(key, function(*jobs[key]))
            except AIOSError as error:
                outcome = Outcome(key, error=str(error))
            except Exception as error:  # noqa: BLE001 - a job may fail in any way, alone
                outcome = Outcome(key, error=explain(error))
            yield from schedule.finish(outcome)


def explain(error: Exception) -> str:
    """What happened in a line, and below it where."""
    summary = "".join(traceback.format_exception_only(error)).strip()
    return summary + "\n" + "".join(traceback.format_tb(error.__traceback__)).rstrip()
