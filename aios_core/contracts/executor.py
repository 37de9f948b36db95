"""Executors: where the trials of an ablation run."""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from typing import Any

from attrs import frozen

from aios_core.errors import AIOSError


@frozen
class Outcome:
    """How one job ended."""

    key: str
    value: Any = None
    """What the function returned; None where it failed."""
    error: str | None = None
    """Why it failed, in one or more lines, the first of which says it all; None where it did
    not."""

    @classmethod
    def of(cls, key: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Outcome:
        """Run a job here and say how it ended; for those who write an executor."""
        try:
            return cls(key, function(*arguments))
        except AIOSError as error:
            return cls(key, error=str(error))
        except Exception as error:  # noqa: BLE001 - a job may fail in any way, alone
            summary = "".join(traceback.format_exception_only(error)).strip()
            where = "".join(traceback.format_tb(error.__traceback__)).rstrip()
            return cls(key, error=f"{summary}\n{where}")


class Executor(ABC):
    """Runs jobs wherever it likes; apart from what ``after`` says, order has no meaning."""

    @abstractmethod
    def run(
        self,
        function: Callable[..., Any],
        jobs: Mapping[str, tuple[Any, ...]],
        *,
        after: Mapping[str, Collection[str]] | None = None,
        started: Callable[[str], None] = lambda _: None,
    ) -> Generator[Outcome, None, None]:
        """Run ``function(*arguments)`` for every job and yield each outcome as it comes.

        A job that raises, or whose process dies, is an outcome with an error and harms no other
        job. When the iterator is closed, or a `KeyboardInterrupt` passes through it, running jobs
        are called by a `KeyboardInterrupt` of their own and given time to save their work.
        `Schedule` keeps the book on ``after``.

        Args:
            function: a function of a module, so that another process can import it.
            jobs: key to arguments: plain data that can be pickled or written as JSON.
            after: for a job, the jobs that must have succeeded before it starts. Where one of
                them failed it is not run, and its outcome says so.
            started: called with the key of each job when it begins.
        """


class Schedule:
    """Which job starts next; for those who write an executor.

    Args:
        jobs: keys, in the order in which they start where nothing else decides.
        after: see `Executor.run`; a key that is no job counts as done.
    """

    def __init__(self, jobs: Collection[str], after: Mapping[str, Collection[str]] | None) -> None:
        known = set(jobs)
        needs = {key: known.intersection((after or {}).get(key, ())) for key in jobs}
        self._ready = deque(key for key in jobs if not needs[key])
        self._waiting = {key: need for key, need in needs.items() if need}

    def next(self) -> str | None:
        """The job to start now, which is then no longer offered; None where none may start yet."""
        return self._ready.popleft() if self._ready else None

    def finish(self, outcome: Outcome) -> Iterator[Outcome]:
        """Note how a job ended.

        Yields:
            the outcome itself, then one for every job that can no longer run because of it.
        """
        yield outcome
        for key in [key for key, needs in self._waiting.items() if outcome.key in needs]:
            if outcome.error is not None:
                if self._waiting.pop(key, None):  # it may have gone with an earlier one
                    error = f"not run, because {outcome.key} failed"
                    yield from self.finish(Outcome(key, error=error))
            else:
                self._waiting[key].discard(outcome.key)
                if not self._waiting[key]:
                    del self._waiting[key]
                    self._ready.append(key)
