"""A store between threads, and between a process and those that are forked from it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeAlias, TypeVar
from weakref import WeakSet

from aios_core.contracts.primitives import StorePrimitives
from aios_core.errors import StorageError

if TYPE_CHECKING:
    import pyarrow as pa

    from aios_core.contracts.records import Metric
    from aios_core.contracts.storage import StorageBackend

_Args = ParamSpec("_Args")
_Result = TypeVar("_Result")
_Store = TypeVar("_Store", bound="SharedStore")


class SharedStore(StorePrimitives):
    """Lets one call in at a time, and in a forked process only those that read.

    A fork copies memory, and shares with the child what the system keeps: locks, sockets, open
    files. So a child must not write by what it has inherited, nor release it; and what another
    thread was changing at that moment is half done in the child for ever.
    """

    def __init__(
        self,
        backend: StorageBackend,
        uri: str,
        schema: pa.Schema,
        metric: Metric,
        *,
        read_only: bool = False,
    ) -> None:
        super().__init__(backend, uri, schema, metric, read_only=read_only)
        self.__lock, self.__process = threading.RLock(), os.getpid()
        self.__inherited = self.__readable = self.__torn = False
        _OPEN.add(self)

    @contextmanager
    def _turn(self, *, write: bool = False) -> Iterator[None]:
        """The store for one call: alone, unless the backend is safe under threads by itself.

        Raises:
            StorageError: it is closed, or may not be written, or was opened by another process and
                cannot be read in this one.
        """
        with nullcontext() if self.backend.concurrent else self.__lock:
            if self.closed:
                raise StorageError(f"the store {self.uri} is closed")
            if self.__inherited:
                self.__read_here(write=write)
            if write and self.read_only:
                raise StorageError(f"the store {self.uri} was opened for reading only")
            yield

    def __read_here(self, *, write: bool) -> None:
        opened = f"the store {self.uri} was opened by process {self.__process}, from which this one"
        again = "open it again in this process"
        if write:
            raise StorageError(f"{opened} was forked, and can only be read here; to write, {again}")
        with self.__lock:
            if self.__torn and not self.backend.concurrent:
                raise StorageError(f"{opened} was forked while another thread used it; {again}")
            if not self.__readable:
                self.reopen_storage()
                self.__readable = True

    def close(self) -> None:
        """Make everything safe and let go of the store; harmless when repeated.

        In a forked process nothing is written, and the store stays open in the other.
        """
        with self.__lock:
            if not self.closed:
                self.closed = True
                if self.__readable or not self.__inherited:
                    self.close_storage()

    def _forked(self) -> None:
        """Called in a process that was just forked, where no other thread is yet."""
        self.__torn = not self.__lock.acquire(blocking=False)
        self.__lock, self.__inherited, self.__readable = threading.RLock(), True, False
        self.abandon_storage()
        self.read_only = True


_Method: TypeAlias = Callable[Concatenate[_Store, _Args], _Result]


def turn(
    *, write: bool = False
) -> Callable[[_Method[_Store, _Args, _Result]], _Method[_Store, _Args, _Result]]:
    """For a method of a store: one call at a time; see `SharedStore`."""

    def decorate(method: _Method[_Store, _Args, _Result]) -> _Method[_Store, _Args, _Result]:
        @wraps(method)
        def call(self: _Store, /, *args: _Args.args, **kwargs: _Args.kwargs) -> _Result:
            with self._turn(write=write):
                return method(self, *args, **kwargs)

        return call

    return decorate


_OPEN: WeakSet[SharedStore] = WeakSet()


def _after_fork() -> None:
    for store in list(_OPEN):
        store._forked()  # noqa: SLF001 - its own class


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
