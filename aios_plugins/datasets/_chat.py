"""Chats as rows: turns of the assistant are learned, the others are given."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, Literal, NamedTuple

from attrs import frozen

from aios_core.contracts import Control, Role, Row, Segment, content_of
from aios_core.contracts.reader import writable
from aios_core.errors import DataError
from aios_plugins.datasets._templates import Template

ASSISTANT: Final = "assistant"

TEMPLATES: Final[Mapping[str, str]] = {
    "system": "{content}\n\n",
    "user": "User: {content}\n",
    ASSISTANT: "Assistant: {content}\n",
}
"""Of the roles, unless a configuration has others."""

ROLES: Final = ("system", "developer", "user", ASSISTANT, "tool")
"""Those that templates of tokenizers are written for, which may put any name that is there between
their special tokens: one that a row makes up would be a part of the template."""

Learn = Literal["all", "last"]


class Turn(NamedTuple):
    """What somebody says."""

    role: str
    content: str


@frozen
class Chats:
    """How chats are written.

    The answer begins where the content of an assistant's turn does; what follows the content in the
    template is learned, as the end of the turn.
    """

    templates: Mapping[str, Template] | None
    """By role, with the slot ``content``; None: the tokenizer's own template writes them."""
    learn: Learn = "all"

    def row(self, turns: list[Turn], where: str) -> Row:
        """The row of a chat, up to the last turn of the assistant.

        Args:
            turns: as `turns_of` gives them.
            where: they are from.

        Raises:
            DataError: a role has no template.
        """
        last = max(i for i, turn in enumerate(turns) if turn.role == ASSISTANT)
        segments: list[Segment] = []
        for number, turn in enumerate(turns[: last + 1]):
            answer = turn.role == ASSISTANT and (self.learn == "all" or number == last)
            segments += self._segments(turn, "target" if answer else "given", number, where)
        return self._row(segments, where)

    def asked(self, turns: list[Turn], where: str) -> Row:
        """What stands before the answer to the last turn.

        Raises:
            DataError: a role has no template, or there is nothing to answer.
        """
        if not turns or turns[-1].role == ASSISTANT:
            got = "one of the assistant" if turns else "no turn"
            raise DataError(f"{where}: expected a turn to answer as the last one, got {got}")
        segments: list[Segment] = []
        for number, turn in enumerate(turns):
            segments += self._segments(turn, "given", number, where)
        if self.templates is not None:
            before, _ = self.templates[ASSISTANT].around("content")
            segments.append(Segment(ASSISTANT, content_of(Control(before)), "given"))
        return self._row(segments, where)

    def _row(self, segments: list[Segment], where: str) -> Row:
        if self.templates is None:
            return Row(tuple(segments), where=where, chat=True)
        kept = tuple(segment for segment in segments if segment.content)
        if not kept:
            raise DataError(f"{where}: expected a turn that says something, got empty ones")
        return Row(kept, where=where)

    def _segments(self, turn: Turn, role: Role, number: int, where: str) -> list[Segment]:
        """Those of a turn."""
        known: Collection[str] = ROLES if self.templates is None else self.templates
        if turn.role not in known:
            more = "" if self.templates is None else ", or a template for it"
            raise DataError(
                f"{where}: turn {number + 1} has the role {turn.role!r}, and the template has "
                f"{', '.join(known)}; expected one of these{more}"
            )
        if self.templates is None:
            return [Segment(turn.role, turn.content, role)]
        before, behind = map(Control, self.templates[turn.role].around("content"))
        if role == "given":
            return [Segment(turn.role, content_of(before, turn.content, behind), role)]
        answer = content_of(turn.content, behind)
        return [Segment(turn.role, content_of(before), "given"), Segment(turn.role, answer, role)]


def turns_of(
    values: Mapping[str, Any], column: str, where: str, *, answered: bool = True
) -> list[Turn]:
    """The turns of a chat.

    Args:
        values: of a row.
        column: that holds its turns, a list of objects with ``role`` and ``content``.
        where: they are from.
        answered: whether the assistant must have a turn.

    Raises:
        DataError: it holds something else, no turn of an assistant, an empty one, or a system's
            that is not the first.
    """
    if column not in values:
        raise DataError(
            f"{where}: no column {column!r}; expected one of {', '.join(map(str, values))}"
        )
    if not isinstance(values[column], list):
        raise DataError(
            f"{where}: {column!r} is {type(values[column]).__name__}; expected a list of objects "
            "with role and content"
        )
    turns = [_turn(message, f"{where}: turn {n}") for n, message in enumerate(values[column], 1)]
    if answered and not any(turn.role == ASSISTANT for turn in turns):
        roles = ", ".join(turn.role for turn in turns) or "no turn"
        raise DataError(f"{where}: expected a turn of the {ASSISTANT}, got {roles}")
    for number, turn in enumerate(turns, 1):
        if turn.role == ASSISTANT and not turn.content:
            raise DataError(f"{where}: turn {number}: the answer of the {ASSISTANT} is empty")
        if turn.role == "system" and number > 1:
            raise DataError(f"{where}: turn {number}: expected the system's turn once, and first")
    return turns


_UNREAD: Final = ("tool_calls", "function_call", "reasoning_content", "thinking")
"""Of a message, what is a part of what it says, beside its content."""


def _turn(message: Any, where: str) -> Turn:
    if not isinstance(message, dict):
        raise DataError(
            f"{where}: expected an object with role and content, got {type(message).__name__}"
        )
    if {"from", "value"} & {key for key, value in message.items() if value is not None}:
        got = "both that and" if "role" in message else "only"
        raise DataError(
            f"{where}: expected an object with role and content, got {got} "
            f"{', '.join(sorted(message))}"
        )
    if unread := [key for key in _UNREAD if message.get(key)]:
        raise DataError(
            f"{where}: {unread[0]!r} is not read, and without it the turn says something else; "
            "expected role and content alone"
        )
    role, content = message.get("role"), message.get("content")
    if isinstance(content, list):  # of parts, as OpenAI's are
        content = _joined(content, where)
    for key, value in (("role", role), ("content", content)):
        if not isinstance(value, str):
            got = type(value).__name__ if key in message else f"no such key among {sorted(message)}"
            raise DataError(f"{where}: expected a text under {key!r}, got {got}")
        if not writable(value):
            raise DataError(f"{where}: {key!r} holds half of a surrogate pair, which is not text")
    assert isinstance(role, str)
    assert isinstance(content, str)
    if not role:
        raise DataError(f"{where}: expected a role, got an empty text")
    return Turn(role, content)


def _joined(parts: list[Any], where: str) -> str:
    texts = [part.get("text") if isinstance(part, dict) else None for part in parts]
    for part, text in zip(parts, texts, strict=True):
        if not isinstance(text, str):
            kind = part.get("type") if isinstance(part, dict) else type(part).__name__
            raise DataError(f"{where}: expected parts of content that are text, got {kind!r}")
    return "".join(text for text in texts if isinstance(text, str))
