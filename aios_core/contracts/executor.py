"""Executors: where the trials of an ablation run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any

from attrs import frozen


@frozen
class Outcome:
    """How one job ended."""

    key: Hashable
    value: Any = None
    """What the function returned; None where it failed."""
    error: str | None = None
    """Why it failed, in one or more lines; None where it did not."""


class Executor(ABC):
    """Runs independent jobs, each in a process of its own kind of place; order has no meaning."""

    @abstractmethod
    def run(
        self, function: Callable[..., Any], jobs: Mapping[Hashable, tuple[Any, ...]]
    ) -> Iterator[Outcome]:
        """Run ``function(*arguments)`` for every job and yield each outcome as it comes.

        A job that raises, or whose process dies, is an outcome with an error and harms no other
        job. On `KeyboardInterrupt` running jobs are stopped and the exception goes on.

        Args:
            function: a function of a module, so that another process can import it.
            jobs: key to arguments; plain data that can be pickled or written as JSON.
        """
