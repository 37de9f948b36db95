"""A pool of processes on this machine that survives the death of its workers.

The pool of `concurrent.futures` breaks as a whole when one worker dies, and cannot tell whose job
it was. Here each worker has a pipe of its own, so a death is the outcome of exactly one job.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import IO, Any

from attrs import define, field, frozen, validators

from aios_core.contracts import Executor, Outcome
from aios_core.contracts.executor import Schedule

_SPAWN = multiprocessing.get_context("spawn")  # a forked torch may hang in its thread pools
_GRACE = 60.0
"""Seconds that interrupted jobs have to save their work."""
_LINES = 20
"""Of what a process wrote to its stderr before it died."""


def _cores() -> int:
    """Cores that this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@frozen
class Processes(Executor):
    """Run jobs in processes of this machine, each with one thread.

    One thread a process and a process a core is the fastest way to run many small jobs. A job whose
    process is killed, as when memory runs out, fails alone.
    """

    workers: int | None = field(
        default=None,
        validator=validators.optional(validators.and_(validators.ge(1), validators.le(1024))),
    )
    """Processes at a time; unset: one a core. On a GPU all of them share it: set it lower there."""

    def run(
        self,
        function: Callable[..., Any],
        jobs: Mapping[str, tuple[Any, ...]],
        *,
        after: Mapping[str, Collection[str]] | None = None,
        started: Callable[[str], None] = lambda _: None,
    ) -> Generator[Outcome, None, None]:
        """Run jobs as workers come free; see the contract."""
        schedule = Schedule(jobs, after)
        limit = min(self.workers or _cores(), len(jobs))
        idle: list[_Worker] = []
        busy: dict[Connection, _Worker] = {}
        try:
            while True:
                while len(busy) < limit and (key := schedule.next()) is not None:
                    worker = idle.pop() if idle else _Worker.start()
                    busy[worker.pipe] = worker
                    worker.begin(key, function, jobs[key])
                    started(key)
                if not busy:
                    return
                for pipe in wait(list(busy)):
                    worker = busy.pop(pipe)  # type: ignore[call-overload]
                    outcome, alive = worker.result()
                    if alive:
                        idle.append(worker)
                    yield from schedule.finish(outcome)
        finally:
            _stop(idle, list(busy.values()))


@define
class _Worker:
    """A process and the pipe to it."""

    process: Any
    pipe: Connection
    said: IO[bytes]
    """Its stderr, which is there whole when it has died."""
    seen: int = 0
    """Bytes of that which were read."""
    key: str = ""

    @classmethod
    def start(cls) -> _Worker:
        ours, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(target=_work, args=(theirs,), daemon=True)
        said = tempfile.TemporaryFile()  # noqa: SIM115  # it is the worker's
        resource_tracker.ensure_running()  # its stderr is ours
        with _stderr(said.fileno()):
            process.start()
        theirs.close()  # or its end would stay open here, and a death go unnoticed
        return cls(process, ours, said)

    def begin(self, key: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.key = key
        with contextlib.suppress(BrokenPipeError):  # it has died already: `result` will tell
            self.pipe.send((key, function, arguments))

    def result(self) -> tuple[Outcome, bool]:
        """What came of the job, and whether the worker lives on."""
        try:
            outcome = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            lines = [line for line in self._text().splitlines() if line.strip()][-_LINES:]
            self.said.close()
            first = ": ".join(
                (_cause(self.process.exitcode), *(line.strip() for line in lines[-1:]))
            )
            return Outcome(self.key, error="\n".join((first, *lines))), False
        self.tell()
        return outcome, True

    def tell(self) -> None:
        """Write to our stderr what it wrote to its own."""
        text = self._text()
        if text and sys.stderr is not None:
            sys.stderr.write(text)

    def _text(self) -> str:
        """What it wrote since the last time."""
        number = self.said.fileno()
        data = os.pread(number, os.fstat(number).st_size - self.seen, self.seen)
        self.seen += len(data)
        return data.decode(errors="replace")


@contextlib.contextmanager
def _stderr(number: int) -> Iterator[None]:
    """Give the processes that start meanwhile another stderr, for they may die of what is in it.

    A process that is spawned imports modules before any of our code runs in it.
    """
    before = os.dup(2)
    os.dup2(number, 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


def _cause(exitcode: int) -> str:
    """Why a process ended that should not have."""
    if exitcode >= 0:
        return f"its process ended with exit code {exitcode}"
    name = signal.Signals(-exitcode).name
    hint = " (is there enough memory?)" if name == "SIGKILL" else ""
    return f"its process was killed by {name}{hint}"


def _stop(idle: list[_Worker], busy: list[_Worker]) -> None:
    """Let idle workers go, interrupt the others once, and kill what does not end in time."""
    for worker in busy:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.process.pid, signal.SIGINT)
    for worker in idle + busy:
        worker.pipe.close()
    deadline = time.monotonic() + _GRACE
    try:
        for worker in idle + busy:
            worker.process.join(max(0.0, deadline - time.monotonic()))
    finally:  # also when a second Ctrl-C ends the wait
        for worker in idle + busy:
            worker.process.kill()
            worker.process.join()
            worker.tell()
            worker.said.close()


def _work(pipe: Connection) -> None:
    """Life of a worker: one job after the other until the pipe closes."""
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # Ctrl-C in the terminal reaches the parent, who interrupts us exactly once
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # before torch is imported
    threading.Thread(target=_follow_parent, daemon=True).start()
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            pipe.send(Outcome.of(*pipe.recv()))


def _follow_parent() -> None:
    """Die with the parent, even if it was killed: nobody may train on behind a second run."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
