"""Finds the line of every key in a TOML text, which the standard library's parser does not tell.

The text must already be known to be valid TOML: this walks it and checks nothing.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from itertools import accumulate
from typing import Final

KeyPath = tuple[str | int, ...]
"""The way to a value: keys of tables and indices of arrays."""

_SPACE: Final = re.compile(r"[ \t]*")
_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY: Final = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_SCALAR: Final = re.compile(
    r'''"""(?:[^\\]|\\.)*?"""(?:"{0,2})'''  # up to two quotes may precede the closing three
    r"""|'''.*?'''(?:'{0,2})"""
    r'''|"(?:[^"\\\n]|\\.)*"'''
    r"""|'[^'\n]*'"""
    r"""|[^,\]}#\n]+""",  # a date and its time may have a space between them
    re.DOTALL,
)


def find_lines(text: str) -> dict[KeyPath, int]:
    """Line, from 1, of every table, key and array element of a valid TOML text."""
    return _Walk(text).lines


class _Walk:
    def __init__(self, text: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._text = text
        self._at = 0
        self._starts = [0, *accumulate(len(line) + 1 for line in text.split("\n"))]
        self._last: dict[KeyPath, int] = {}  # index of the last table of each array of tables
        self._document()

    def _line(self) -> int:
        return bisect_right(self._starts, self._at)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        """Move past a pattern; the text that it matched, empty where it did not."""
        match = pattern.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match.group()

    def _sees(self, mark: str) -> bool:
        """Whether a mark comes next; if so, move past it."""
        here = self._text.startswith(mark, self._at)
        self._at += len(mark) * here
        return here

    def _document(self) -> None:
        table: KeyPath = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            line = self._line()
            if self._sees("[["):
                *parents, name = self._key()
                array = (*self._resolved(parents), name)
                self._last[array] = self._last.get(array, -1) + 1
                table = (*array, self._last[array])
                self._header(table, line, "]]")
            elif self._sees("["):
                table = self._resolved(self._key())
                self._header(table, line, "]")
            else:
                self._assignment(table)
            self._skip(_BLANK)

    def _header(self, table: KeyPath, line: int, end: str) -> None:
        self._note(table, line)
        self.lines[table] = line  # its own header tells more than that of a table inside it
        self._sees(end)

    def _resolved(self, key: list[str]) -> KeyPath:
        """The path that a header means: within an array of tables, its last table."""
        path: KeyPath = ()
        for part in key:
            path = (*path, part)
            if path in self._last:
                path = (*path, self._last[path])
        return path

    def _note(self, path: KeyPath, line: int) -> None:
        for end in range(1, len(path) + 1):
            self.lines.setdefault(path[:end], line)

    def _key(self) -> list[str]:
        parts = []
        while True:
            self._skip(_SPACE)
            part = self._skip(_KEY)
            parts.append(tomllib.loads(f"k = {part}")["k"] if part[0] in "\"'" else part)
            self._skip(_SPACE)
            if not self._sees("."):
                return parts

    def _assignment(self, table: KeyPath) -> None:
        line = self._line()
        path = (*table, *self._key())
        self._note(path, line)
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        if self._sees("["):
            index = 0
            while not self._ends("]"):
                self._note((*path, index), self._line())
                self._value((*path, index))
                index += 1
        elif self._sees("{"):
            while not self._ends("}"):
                self._assignment(path)
        else:
            self._skip(_SCALAR)

    def _ends(self, mark: str) -> bool:
        """Whether an array or inline table ends here; if not, move to its next element."""
        self._skip(_BLANK)
        self._sees(",")
        self._skip(_BLANK)
        return self._sees(mark)
