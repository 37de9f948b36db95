"""The boundary of the command line: every exception becomes words, and nothing else.

What a user can mend ends with exit code 2: our own errors, and what is foreseen of other libraries
and of the system. What nobody foresaw is a defect, ours or a plugin's, and ends with exit code 70
(as sysexits has it: 1 is an answer of some commands); its traceback is shown under
``--log-level debug`` or ``AIOS_TRACEBACK=1``.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import traceback
from collections.abc import Callable
from typing import Any, Final

import click

from aios_core.allocation import out_of_memory
from aios_core.errors import AIOSError, ConfigError

VARIABLE: Final = "AIOS_TRACEBACK"
"""Environment variable: ``1`` shows the traceback of whatever ends a command."""

_LIBRARIES: Final = frozenset(
    {
        "lance",
        "lancedb",
        "psycopg",
        "pyarrow",
        "qdrant_client",
        "safetensors",
        "safetensors_rust",
        "sqlite3",
        "tokenizers",
        "zipfile",
        "zlib",
        "_lzma",
    }
)
"""Libraries whose error classes describe problems of files and servers, not defects of ours."""


class UserError(click.ClickException):
    """A mistake that the user can correct: printed without a traceback, with exit code 2."""

    exit_code = 2

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems

    def show(self, file: Any = None) -> None:
        """Print every problem on stderr."""
        for problem in self.problems:
            click.echo(f"error: {problem}", file=file, err=True)


class DefectError(UserError):
    """What nobody foresaw."""

    exit_code = 70  # EX_SOFTWARE


def user_error(error: BaseException, command: click.Command | None = None) -> UserError:
    """What ends a command, in words.

    Args:
        error: whatever it raised.
        command: what ran; options that a message marks are spelled as it has them.

    Raises:
        OSError: the reader of a pipe is gone, which is click's to handle.
    """
    if isinstance(error, OSError) and error.errno == errno.EPIPE:
        raise error
    if os.environ.get(VARIABLE) == "1" or logging.getLogger().level == logging.DEBUG:
        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    if isinstance(error, AIOSError):
        if isinstance(error, ConfigError):  # whose names are keys of the configuration
            return UserError(*(spelled(problem, command, _MARKED) for problem in error.problems))
        return UserError(spelled(str(error), command))
    if (words := foreseen(error)) is not None:
        return UserError(words)
    from aios_core.cli.culprit import culprit

    raised = f"{type(error).__name__}: {error}".removesuffix(": ")
    place = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f" ({frame.filename}:{frame.lineno})" for frame in place)
    again = f"{VARIABLE}=1 shows the traceback"
    if (plugin := culprit(error)) is not None:
        return DefectError(f"{plugin} raised {raised}{where}; its author should know; {again}")
    return DefectError(
        f"a defect of aios itself: {raised}{where}; {again}, which a report of it should hold"
    )


_ALSO: Final = {
    "context": "length",
    "max_new_tokens": "length",
    "condition": "num_memories",
    "conditioned": "memory",
    "num_return_sequences": "num",
}
"""Parameters of the engine to the option that sets them besides other things."""


_MARKED: Final = re.compile(r"`(\w+)`( = )?()")
_NAMED: Final = re.compile(r"`(\w+)`( = )?|(?<![\w./'\"])([a-z]+_\w+)(?![\w./'\"])")


def spelled(message: str, command: click.Command | None, names: re.Pattern[str] = _NAMED) -> str:
    """A message with the names of parameters as options, and ```name` = value`` as one is given.

    A name is marked, as in `steps`, or has an underscore, as no word of a language has.

    Args:
        message: of the library, whose parameters have the names that options are stored under.
        command: whose options; what it has not stays as it is.
        names: what is taken for the name of a parameter.
    """
    options = {
        str(option.name): max(option.opts, key=len)
        for option in (command.params if command else ())
        if isinstance(option, click.Option)
    }
    options = {name: options[own] for name, own in _ALSO.items() if own in options} | options

    def option(match: re.Match[str]) -> str:
        own = options.get(match[1] or match[3])
        return match[0] if own is None else own + (" " if match[2] else "")

    return names.sub(option, message)


def foreseen(error: BaseException) -> str | None:
    """What is wrong in words, where that can happen without a defect of ours; None elsewhere."""
    for kinds, applies, words in _FORESEEN:
        if isinstance(error, kinds) and applies(error):
            return words(error)
    library = type(error).__module__.partition(".")[0]
    first = _first(error)
    return f"{library.removesuffix('_rust')}: {first}" if library in _LIBRARIES else None


def _first(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def _no_memory(error: BaseException) -> str:
    said = f" ({first})" if (first := _first(error)) else ""
    return (
        f"there is not enough memory{said}; expected smaller sizes: fewer texts at once, shorter "
        "ones, or a smaller network"
    )


def _system(error: Any) -> str:
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if _is_name(name)]
    what = error.strerror or str(error) or type(error).__name__
    return f"{' -> '.join(names)}: {what}" if names else f"the system says: {what}"


def _is_name(value: Any) -> bool:
    return isinstance(value, str | bytes | os.PathLike)


def _not_read(error: Any) -> str:
    byte = error.object[error.start]
    return f"byte {byte:#04x} at {error.start} is not valid UTF-8; expected text in UTF-8"


def _not_written(error: Any) -> str:
    bad = error.object[error.start : error.end]
    if any("\ud800" <= character <= "\udfff" for character in bad):
        near = error.object[max(error.start - 20, 0) : error.end + 20]
        return f"{near!a}: is not valid UTF-8; expected a name or a text in UTF-8"
    return (
        f"{bad!a} cannot be written in the encoding {error.encoding!r}; "
        "expected PYTHONIOENCODING=utf-8, or a locale of UTF-8"
    )


_Kind = tuple[type[BaseException], Callable[[BaseException], bool], Callable[[BaseException], str]]

_FORESEEN: Final[tuple[_Kind, ...]] = (
    (Exception, out_of_memory, _no_memory),
    (RecursionError, lambda _: True, lambda _: "nested too deeply; expected something flatter"),
    (OSError, lambda _: True, _system),
    (UnicodeEncodeError, lambda _: True, _not_written),
    (UnicodeDecodeError, lambda _: True, _not_read),
    (
        OverflowError,
        lambda _: True,
        lambda error: f"a number is too large: {_first(error)}; expected at most 2**63 - 1 in size",
    ),
    (
        ValueError,
        lambda error: _first(error).startswith("Exceeds the limit ("),
        lambda _: "a number has thousands of digits; expected at most 2**63 - 1 in size",
    ),
    (
        ImportError,
        lambda error: not str(getattr(error, "name", "")).startswith("aios_"),  # those are defects
        lambda error: f"a module cannot be imported: {_first(error)}; expected it to be installed",
    ),
)
"""What may be raised, when, and what it means."""
