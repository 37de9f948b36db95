"""Passwords taken out of what is shown: an error, a log, or the answer of a command."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

if TYPE_CHECKING:
    from attrs import Attribute

HIDDEN: Final = "***"

_PORT: Final = r"(?!\d{1,5}(?:[/?#\s,;:'\")]|$))"
_IN_URI: Final = re.compile(
    # To the last @ of a word, since a password may hold one; else to the next, over spaces.
    rf"(://[^\s:/?#@'\"]*):{_PORT}(?:\S*@|[^@\n]*@)"
)
_NAMES: Final = r"\w*(?:password|passwd|secret)|pwd|api[_-]?key|(?:access|auth)[_-]?token"
_IN_QUERY: Final = re.compile(
    rf"(?i)((?:[?&]|\b(?=\w*passw))(?:{_NAMES})=)(?:'[^'\n]*'|\"[^\"\n]*\"|[^\s&;'\"]+)"
)


def redacted(text: str, *, uri: str = "") -> str:
    """A text without the passwords of the URIs in it.

    Args:
        text: to be shown.
        uri: whose passwords are taken out wherever they stand, as in an error of a server's driver
            that quotes a part of it.

    Examples:
        >>> redacted("cannot reach postgresql://me:secret@host/notes")
        'cannot reach postgresql://me:***@host/notes'
    """
    for secret in _secrets(uri):
        text = text.replace(secret, HIDDEN)
    if "=" in text:
        text = _IN_QUERY.sub(rf"\1{HIDDEN}", text)
    return _IN_URI.sub(rf"\1:{HIDDEN}@", text) if "://" in text else text


def without_password(_instance: Any, _attribute: Attribute[str], value: str) -> None:
    """A validator of attrs for places that a run writes down.

    Raises:
        ValueError: there is a password.
    """
    if redacted(value) != value:
        raise ValueError(
            "holds a password, which files of a run would show; expected a place without it, and "
            "PGPASSWORD, ~/.pgpass or QDRANT_API_KEY"
        )


def _secrets(uri: str) -> list[str]:
    """Passwords of a URI, as they are written and as they are meant; the longest first."""
    parts: set[str] = set()
    if match := _IN_URI.search(uri):
        parts.add(match.group(0)[len(match.group(1)) + 1 : -1])
    try:
        query = parse_qsl(urlsplit(uri).query)
    except ValueError:  # no URI after all
        query = []
    parts.update(value for name, value in query if re.fullmatch(_NAMES, name.lower()))
    parts |= {unquote(part) for part in parts}
    # A word of one or two letters would take the message apart.
    return sorted((part for part in parts if len(part) > 2), key=len, reverse=True)
