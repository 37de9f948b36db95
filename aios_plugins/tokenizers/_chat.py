"""The chat template of a published tokenizer: what it says and what turns say, kept apart.

Each turn is rendered with a mark in the place of its content, and the rendering is cut at the
marks. What is between them is the template's, where names of special tokens are these tokens; the
contents are put where the marks were, as text. A rendering of the real contents must then say the
same: a template that changes or reads what turns say is refused, but for one that takes off the
blanks around it.
"""

from __future__ import annotations

import json
import re
import secrets
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen

from aios_core import strict_json
from aios_core.contracts import Control, Row, Segment, content_of
from aios_core.errors import DataError, TokenizerError
from aios_core.files import no_file
from aios_plugins.tokenizers._sandbox import MAX_TEMPLATE, RefusedError, sandbox

TEMPLATE: Final = "chat_template.jinja"
CONFIG: Final = "tokenizer_config.json"
"""Files of a folder that have the template: the first before the second, as in transformers."""

MAX_FILE: Final = 1 << 25
"""Largest file that is read, in bytes."""

ASSISTANT: Final = "assistant"

_BLANK: Final = "\x1f"
"""What ``trim`` takes off like a space, and no template writes."""


@frozen
class Shape:
    """What a template says around the turns of some roles."""

    literals: tuple[str, ...]
    """(N + 1,) before, between and behind the contents."""
    trimmed: tuple[tuple[bool, bool], ...]
    """(N,) whether blanks in front of a content and behind it are taken off."""

    def contents(self, contents: list[str]) -> list[str]:
        """What is written of the contents of turns."""
        pairs = zip(contents, self.trimmed, strict=True)
        fronts = ((text.lstrip() if front else text, back) for text, (front, back) in pairs)
        return [text.rstrip() if back else text for text, back in fronts]

    def text(self, contents: list[str]) -> str:
        """All of it, with contents as they are written."""
        pairs = zip(self.literals, [*contents, ""], strict=True)
        return "".join(literal + content for literal, content in pairs)


@frozen
class ChatTemplate:
    """A template, and what it needs."""

    text: str
    names: tuple[tuple[str, str], ...] = ()
    """Of special tokens, as ``("bos_token", "<s>")``, sorted."""
    source: str = field(default=TEMPLATE, eq=False)
    """The file that it is from, for messages."""

    @property
    def identity(self) -> str:
        """All that rows depend on."""
        return json.dumps([self.text, self.names])

    def save(self, folder: Path) -> None:
        """Write it as `read` takes it.

        Raises:
            OSError: it cannot be written.
        """
        document = {**dict(self.names), "chat_template": self.text}
        (folder / CONFIG).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")

    def row(self, row: Row, special: tuple[str, ...], *, asked: bool = False) -> Row:
        """A row of turns, as `TrainedTokenizer.chat` has it.

        Args:
            row: of turns.
            special: names of the tokenizer's special tokens.
            asked: up to where the answer to the last turn begins.

        Raises:
            TokenizerError: the template cannot be used.
            DataError: it refuses these turns, or changes what they say.
        """
        where = row.where or "a chat"
        roles = tuple(segment.name for segment in row.segments)
        said = [segment.text for segment in row.segments]
        if asked:
            roles, said = (*roles, ASSISTANT), [*said, _mark(len(said))]
        for number, role in enumerate(roles, 1):  # which stand among what the template says
            if not re.fullmatch(r"[\w-]+", role):
                raise DataError(f"{where}: turn {number}: expected a role in letters, got {role!r}")
        shape = self._shape(roles, where)
        contents = shape.contents(said)
        if asked:
            contents[-1] = _mark(len(said) - 1)
        self._check(shape, roles, said, contents, where)
        segments, end = list[Segment](), ""
        for number, role in enumerate(roles):
            before = Control(shape.literals[number][len(end) :])
            end = ""
            if asked and number == len(roles) - 1:
                segments.append(Segment(role, content_of(before), "given"))
                break
            if row.segments[number].role == "given":
                segments.append(Segment(role, content_of(before, contents[number]), "given"))
                continue
            if not contents[number]:
                raise DataError(f"{where}: turn {number + 1}: of the answer nothing is left")
            end = shape.literals[number + 1]
            if number + 1 < len(roles):
                last = self._shape(roles[: number + 1], where).literals[-1]
                end = _common(last, end, special)
            segments += [
                Segment(role, content_of(before), "given"),
                Segment(role, content_of(contents[number], Control(end)), "target"),
            ]
        kept = tuple(segment for segment in segments if segment.content)
        return Row(kept, where=row.where)

    def _shape(self, roles: tuple[str, ...], where: str) -> Shape:
        try:
            return _shape(self, roles)
        except RefusedError as error:
            raise DataError(f"{where}: the chat template {self.source} says: {error}") from error
        except ValueError as error:
            raise DataError(f"{where}: the chat template {self.source}: {error}") from error

    def _check(
        self, shape: Shape, roles: tuple[str, ...], said: list[str], written: list[str], where: str
    ) -> None:
        """See that the template says of the real contents what it says of marks.

        Raises:
            DataError: it does not.
        """
        try:
            if self.rendered(roles, said) == shape.text(written):
                return
            reason = "writes what turns say in another way than they do"
            for number, (content, text) in enumerate(zip(said, written, strict=True)):
                marks = [_mark(place) for place in range(len(said))]
                marks[number] = text
                expected = shape.text(marks)
                marks[number] = content
                if self.rendered(roles, marks) != expected:
                    reason = f"writes in another way what turn {number + 1} says: {content!r:.80}"
                    break
        except RefusedError as error:
            reason = f"says: {error}"
        except ValueError as error:
            reason = str(error)
        raise DataError(
            f"{where}: the chat template {self.source} {reason}; expected one that takes turns as "
            "they are, or without the blanks around them, or texts by role for dataset.template"
        )

    def rendered(self, roles: tuple[str, ...], contents: list[str]) -> str:
        """The text of turns.

        Raises:
            RefusedError: the template refuses them.
            ValueError: it fails, or takes too much.
        """
        turns = [
            {"role": role, "content": content}
            for role, content in zip(roles, contents, strict=True)
        ]
        return sandbox(self.text).render(turns, dict(self.names))


_KEY: Final = secrets.token_hex(16)


def _mark(number: int) -> str:
    """What stands for the content of a turn; nobody knows it who writes a template."""
    return f"{_KEY}.{number}."


@lru_cache(maxsize=256)
def _shape(template: ChatTemplate, roles: tuple[str, ...]) -> Shape:
    """What a template says around turns of these roles.

    Raises:
        RefusedError: it refuses such turns.
        ValueError: it does not write each content once and in order.
    """
    marks = [f"{_BLANK}{_mark(number)}{_BLANK}" for number in range(len(roles))]
    text = template.rendered(roles, marks)
    parts = re.split(f"({_BLANK}?){_KEY}\\.([0-9]+)\\.({_BLANK}?)", text)
    order = [int(number) for number in parts[2::4]]
    if order != list(range(len(roles))) or _BLANK in "".join(parts[::4]):
        missing = [n for n in range(len(roles)) if order.count(n) != 1]
        which = f"turn {missing[0] + 1} of {len(roles)}" if missing else "each turn"
        raise ValueError(
            f"expected what {which} says once and in its place, with the roles {', '.join(roles)}"
        )
    trimmed = zip((not blank for blank in parts[1::4]), (not b for b in parts[3::4]), strict=True)
    return Shape(tuple(parts[::4]), tuple(trimmed))


def _common(first: str, second: str, special: tuple[str, ...]) -> str:
    """What two literals begin with alike, no special token cut in two."""
    names = "|".join(map(re.escape, sorted(special, key=len, reverse=True)))
    chunks = [
        re.findall(f"{names}|." if names else ".", text, re.DOTALL) for text in (first, second)
    ]
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(*chunks, strict=False))
    return "".join(chunk for chunk, _ in pairs)


def files_of(folder: Path) -> tuple[Path, ...]:
    """Files of a folder that its template depends on."""
    return tuple(path for path in (folder / TEMPLATE, folder / CONFIG) if path.is_file())


def read(folder: Path) -> ChatTemplate | None:
    """The chat template of a folder; None where it has none.

    Raises:
        TokenizerError: a file is damaged, or the template cannot be used.
        MissingExtraError: jinja2 is not installed.
    """
    document: Any = {}
    path = folder / CONFIG
    if path.is_file():
        try:
            document = strict_json.loads(_text(path))
        except (ValueError, RecursionError) as error:
            raise TokenizerError(f"{path}: {error}") from error
        if not isinstance(document, dict):
            raise TokenizerError(f"{path}: expected an object, got {type(document).__name__}")
    template = _template(document.get("chat_template"), path)
    if (own := folder / TEMPLATE).is_file():
        template, path = _text(own), own
    if template is None:
        return None
    try:
        sandbox(template)
    except ValueError as error:
        raise TokenizerError(f"{path}: chat template: {error}") from error
    return ChatTemplate(template, _names(document), str(path))


def _template(value: Any, path: Path) -> str | None:
    """The template of a configuration: a text, or the default one of several with names."""
    if isinstance(value, list):
        named = {
            entry.get("name"): entry.get("template") for entry in value if isinstance(entry, dict)
        }
        value = named.get("default", value)
    if value is not None and not isinstance(value, str):
        raise TokenizerError(
            f"{path}: chat_template: expected a text, or several of which one is named default, "
            f"got {type(value).__name__}"
        )
    return value


def _names(document: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Special tokens by the names that templates have for them."""
    names = {}
    for key, value in document.items():
        token = value.get("content") if isinstance(value, dict) else value
        if key.endswith("_token") and key.isidentifier() and isinstance(token, str):
            names[key] = token
    return tuple(sorted(names.items()))


def _text(path: Path) -> str:
    try:
        if wrong := no_file(path):
            raise TokenizerError(f"{path}: {wrong}; expected a file of a tokenizer")
        if path.stat().st_size > (most := MAX_FILE if path.name == CONFIG else 4 * MAX_TEMPLATE):
            raise TokenizerError(f"{path}: expected a file of at most {most} bytes")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise TokenizerError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TokenizerError(f"{path}: {error}") from error
