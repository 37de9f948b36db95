"""What every executor must do."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from aios_core.testing import jobs
from aios_core.testing.contracts.base import Contract

if TYPE_CHECKING:
    from pathlib import Path

    from aios_core.contracts import Executor


class ExecutorContract(Contract["Executor"]):
    """Subclass it and set ``component``: an executor's class, or one that is built."""

    varied: ClassVar = {"test_has_nothing_to_do": {}, "test_job_that_raises_fails_alone": {}}
    drawn = 1

    def test_runs_every_job_once(self, instance: Executor) -> None:
        """Many jobs, few places."""
        work = {str(n): (n, 1) for n in range(30)}
        outcomes = list(instance.run(jobs.add, work))
        assert {str(n): n + 1 for n in range(30)} == {o.key: o.value for o in outcomes}
        assert len(work) == len(outcomes)

    def test_has_nothing_to_do(self, instance: Executor) -> None:
        """No job, no outcome."""
        assert [] == list(instance.run(jobs.add, {}))

    def test_job_that_raises_fails_alone(self, instance: Executor) -> None:
        """The first line of its error says what was raised."""
        outcomes = {o.key: o for o in instance.run(jobs.divide, {str(n): (6, n) for n in range(4)})}
        assert {1: 6.0, 2: 3.0, 3: 2.0} == {n: outcomes[str(n)].value for n in (1, 2, 3)}
        assert outcomes["0"].value is None
        assert "ZeroDivisionError" in (outcomes["0"].error or "").splitlines()[0]

    def test_error_for_the_user_is_its_message(self, instance: Executor) -> None:
        """An `AIOSError` needs no traceback."""
        (outcome,) = instance.run(jobs.refuse, {"a": ("too little data",)})
        assert "too little data" == outcome.error

    def test_order_is_kept_where_asked(self, instance: Executor, tmp_path: Path) -> None:
        """A job sees what those before it left behind."""
        work = {"last": (str(tmp_path), "last", "first"), "first": (str(tmp_path), "first", None)}
        outcomes = {o.key: o for o in instance.run(jobs.follow, work, after={"last": ["first"]})}
        assert {"first": True, "last": True} == {key: o.value for key, o in outcomes.items()}

    def test_failure_reaches_what_builds_on_it(self, instance: Executor) -> None:
        """Also through a job between them, and nobody else."""
        after = {"b": ["a"], "c": ["b", "a"], "e": ["d"]}
        work = {"a": (1, 0), "b": (1, 1), "c": (1, 1), "d": (1, 1), "e": (1, 1)}
        outcomes = list(instance.run(jobs.divide, work, after=after))
        failed = {o.key for o in outcomes if o.error is not None}
        assert {"a", "b", "c"} == failed
        assert len(work) == len(outcomes)

    def test_tells_when_a_job_starts(self, instance: Executor) -> None:
        """Once for each job that runs."""
        begun: list[Any] = []
        list(
            instance.run(
                jobs.divide, {"a": (1, 0), "b": (1, 1)}, after={"b": ["a"]}, started=begun.append
            )
        )
        assert ["a"] == begun

    def test_closing_stops_it(self, instance: Executor) -> None:
        """Nothing starts any more."""
        begun: list[Any] = []
        work = {str(n): (0.05,) for n in range(100)}
        with closing(instance.run(time.sleep, work, started=begun.append)) as outcomes:
            next(outcomes)
        assert len(begun) < len(work)

    def test_interrupt_goes_on(self, instance: Executor) -> None:
        """A Ctrl-C in whoever reads the outcomes, or in a job that runs in this process."""

        def stop(_: Any) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            list(instance.run(jobs.add, {str(n): (n, n) for n in range(3)}, started=stop))
