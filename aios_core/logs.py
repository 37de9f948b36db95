"""Logging of the command line, on the standard library: people read stderr, programs read JSON.

Library code only says ``logging.getLogger(__name__)``. Records hold what the code put into them and
nothing from the environment, which is where secrets live; passwords of URIs are taken out.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from aios_core.errors import AIOSError, ConfigError
from aios_core.redaction import redacted

if TYPE_CHECKING:
    from aios_core.config.schema import LoggingConfig

VARIABLE: Final = "AIOS_LOG"
"""Environment variable that holds a level; ``--log-level`` wins over it."""

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_DEFAULT: Final = "info"


class _Text(logging.Formatter):
    """``12:30:59 warning: the message``; nothing but the message where it only informs."""

    def format(self, record: logging.LogRecord) -> str:
        text = redacted(super().format(record))
        if record.levelno == logging.INFO:
            return text
        time = datetime.fromtimestamp(record.created).astimezone()
        return f"{time:%H:%M:%S} {record.levelname.lower()}: {text}"


class _JSONLines(logging.Formatter):
    """One JSON object a record: time (UTC), level, logger, message, and the exception if any."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redacted(record.getMessage()),
        }
        if record.exc_info:
            fields["exception"] = redacted(self.formatException(record.exc_info))
        return json.dumps(fields, ensure_ascii=False)


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to whatever `sys.stderr` is at that time: a progress bar may have replaced it."""

    def __init__(self, *, chosen: bool) -> None:
        super().__init__(sys.stderr)
        self.chosen = chosen
        """Whether a flag or the environment chose the level, so that a file must not."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def configure(
    level: str | None = None, *, json: bool = False, environ: Mapping[str, str] = os.environ
) -> None:
    """Log to stderr; a second call takes the place of the first.

    Args:
        level: a key of `LEVELS`; None asks ``AIOS_LOG``, then takes info.
        json: JSON lines instead of text for people.
        environ: where ``AIOS_LOG`` is looked up.

    Raises:
        ConfigError: ``AIOS_LOG`` holds no level.
    """
    named = environ.get(VARIABLE, "").strip().lower()
    if named and named not in LEVELS:
        raise ConfigError(f"{VARIABLE}={named}: expected one of {', '.join(LEVELS)}")
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, _Stderr)]:
        root.removeHandler(old)
    handler = _Stderr(chosen=bool(level or named))
    handler.setFormatter(_JSONLines() if json else _Text())
    handler.setLevel(LEVELS[level or named or _DEFAULT])
    root.addHandler(handler)
    root.setLevel(handler.level)


def follow(config: LoggingConfig) -> None:
    """Take over what a configuration says, as far as no flag or variable said otherwise."""
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Stderr)]:
        if not handler.chosen:
            handler.setLevel(LEVELS[config.level])
            root.setLevel(handler.level)
        if config.json:
            handler.setFormatter(_JSONLines())


@contextmanager
def to_file(path: Path) -> Iterator[None]:
    """Also append JSON lines to a file, as a rule ``run.log``; down to info at least.

    Args:
        path: the file; its folder is made.

    Raises:
        AIOSError: it cannot be written.
    """
    root = logging.getLogger()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise AIOSError(f"{path}: the log cannot be written: {error.strerror}") from error
    before = root.level
    handler.setFormatter(_JSONLines())
    root.addHandler(handler)
    root.setLevel(min(before, logging.INFO))
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        handler.close()
