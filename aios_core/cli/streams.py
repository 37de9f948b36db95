"""Standard streams of a process, whatever the shell made of them: closed, full, gone.

A stream that is closed is as /dev/null: otherwise the next file that is opened takes its number,
and what is printed goes into that file. What is said on stderr is worth less than the work, so a
stderr that cannot be written to stops nothing. Bytes of names that are no UTF-8 go out as they came
in.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import TextIO


class _Output(io.TextIOWrapper):
    """A stdout whose errors say what it was that could not be written."""

    def write(self, text: str, /) -> int:
        if text == "":  # click asks so what a stream is, and hides what it answers
            return 0
        try:
            return super().write(text)
        except OSError as error:
            raise self._named(error) from error

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise self._named(error) from error

    def _named(self, error: OSError) -> OSError:
        if error.errno != errno.EPIPE:  # what click handles
            with open(os.devnull, "wb") as nothing:  # noqa: PTH123  # it is no path of a user
                os.dup2(nothing.fileno(), self.fileno())  # or the interpreter's end complains again
        return OSError(error.errno, error.strerror, "standard output")


class _Words(io.TextIOWrapper):
    """A stderr whose reader may go, and whose disk may be full, without an exception."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def repair() -> None:
    """Give the process three streams that can be used."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            mode = "r" if number == 0 else "w"
            opened = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, opened)
            setattr(sys, f"__{name}__", opened)
    sys.stdout = _like(sys.stdout, _Output, "surrogateescape")
    sys.stderr = _like(sys.stderr, _Words, "backslashreplace")


def _like(stream: TextIO, cls: type[io.TextIOWrapper], errors: str) -> TextIO:
    """The same stream as another class; the first one stays what `sys.__stdout__` holds."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    return cls(
        stream.buffer,
        encoding=stream.encoding,
        errors=errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
