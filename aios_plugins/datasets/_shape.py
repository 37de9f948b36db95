"""What a row of columns is: a text, a prompt with its answer, or a chat."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

import attrs
from attrs import Attribute, field, frozen, validators

from aios_core.contracts import Dataset, Row, Segment, TextContent
from aios_core.errors import DataError
from aios_plugins.datasets._chat import ASSISTANT, TEMPLATES, Chats, Turn, turns_of
from aios_plugins.datasets._templates import Template, plain

_name: Any = validators.optional(validators.min_len(1))


@frozen(kw_only=True, slots=False)
class Shaped(Dataset):
    """A data set whose rows have columns."""

    key: str = field(default="text", validator=validators.min_len(1))
    """Where the text is: the key in an object of JSON, or the column of a table."""
    prompt: str | None = field(default=None, validator=_name)
    """What is given: the name of a column, or a template of several, as in
    ``"Question: {question}\\nAnswer: "``; goes with ``answer``."""
    answer: str | None = field(default=None, validator=_name)
    """What is learned, behind the prompt; written in the same way."""
    prompt_role: Literal["given", "target"] = field(default="given")
    """``"target"``: prompts are learned too, so that ``[tasks]`` may turn them, or the answers."""
    messages: str | None = field(default=None, validator=_name)
    """Column of chats: lists of objects with ``role`` and ``content``. The turns of the assistant
    are learned, all others given."""
    template: dict[str, str] | Literal["tokenizer"] | None = field(default=None)
    """How the turns of a chat are written, by role, as in ``user = "User: {content}\\n"``; or
    ``"tokenizer"``, by its own chat template; unset: ``{content}`` and an empty line,
    ``User: {content}`` and ``Assistant: {content}``, each a line. Names of the tokenizer's special
    tokens are these tokens in a template, and text in what a row says."""
    learn: Literal["all", "last"] = "all"
    """Of a chat: every turn of the assistant, or the last alone."""

    @prompt.validator
    @answer.validator
    def _column(self, attribute: Attribute[Any], value: str | None) -> None:
        if value is not None:
            Template.of_column(value)

    @answer.validator
    def _goes_with_prompt(self, attribute: Attribute[Any], value: str | None) -> None:
        if (value is None) != (self.prompt is None):
            other = "prompt" if self.prompt is None else "answer"
            raise ValueError(f"prompt and answer go together; expected {other} as well")
        if value is None or self.prompt is None:
            return
        if self.key != "text":
            raise ValueError(
                f"prompt and answer say what a row is, and so does key = {self.key!r}; leave it out"
            )
        given, learned = (Template.of_column(text).slots for text in (self.prompt, value))
        if both := set(given) & set(learned):
            raise ValueError(
                f"the prompt holds the column {min(both)!r} too, so the answer would be given; "
                "expected another"
            )

    @prompt_role.validator
    def _of_prompts(self, attribute: Attribute[Any], value: str) -> None:
        if value != "given" and self.prompt is None:
            raise ValueError("is for prompts and answers; expected these as well, or leave it out")

    @messages.validator
    def _alone(self, attribute: Attribute[Any], value: str | None) -> None:
        if value is not None and self.prompt is not None:
            raise ValueError(
                "prompt and answer say what a row is, and so does messages; leave one out"
            )
        if value is not None and self.key != "text":
            raise ValueError(
                f"messages says what a row is, and so does key = {self.key!r}; leave one out"
            )

    @template.validator
    def _of_roles(self, attribute: Attribute[Any], value: dict[str, str] | str | None) -> None:
        if value is None:
            return
        if self.messages is None:
            raise ValueError("is for chats; expected messages as well, or leave it out")
        if isinstance(value, str):
            if value != "tokenizer":
                raise ValueError(f"expected texts by role, or 'tokenizer', got {value!r}")
            return
        if ASSISTANT not in value:
            raise ValueError(f"expected one for the role {ASSISTANT}, got {', '.join(value)}")
        for role, text in value.items():
            if Template.parse(text).slots != ("content",):
                raise ValueError(f"{role}: expected {{content}} once in it, got {text!r}")

    @property
    def in_columns(self) -> bool:
        """Whether a row is more than one text."""
        return self.prompt is not None or self.messages is not None

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns that rows are made of, each once."""
        if self.messages is not None:
            return (self.messages,)
        if self._pair is None:
            return (self.key,)
        return tuple(dict.fromkeys(slot for template in self._pair for slot in template.slots))

    def row(self, values: Mapping[str, Any], where: str) -> Row:
        """The row of some values.

        Args:
            values: by column.
            where: they are from.

        Raises:
            DataError: a column is missing, or is not what it should be.
        """
        if self.messages is not None:
            return self._chats.row(turns_of(values, self.messages, where), where)
        if self._pair is None:
            return Row.of(plain({**values}, self.key, where), where=where)
        prompt, answer = (template.filled(values, where) for template in self._pair)
        if not _says(answer):
            raise DataError(f"{where}: the answer is empty; expected text in {self.answer!r}")
        segments = Segment("prompt", prompt, self.prompt_role), Segment("answer", answer)
        return Row(segments, where=where)

    def asked(self, prompt: str | Mapping[str, Any]) -> Row | None:
        """What stands before the answer to a prompt.

        Args:
            prompt: the only column of the prompt's template, or what a user says; or the columns
                of a row, of which the answer's are not needed.

        Raises:
            DataError: the prompt has several columns and a text is given, or one is missing.
        """
        where = "prompt"
        if self.messages is not None:
            if isinstance(prompt, str):
                return self._chats.asked([Turn("user", prompt)], where)
            return self._chats.asked(turns_of(prompt, self.messages, where, answered=False), where)
        if self._pair is None:
            if isinstance(prompt, str):
                return None
            return Row((Segment("prompt", plain({**prompt}, self.key, where), "given"),))
        template, _ = self._pair
        if isinstance(prompt, str):
            if len(set(template.slots)) > 1:
                raise DataError(
                    f"{where}: is made of the columns {', '.join(template.slots)}; expected a "
                    "value for each of them, got a text"
                )
            prompt = dict.fromkeys(template.slots, prompt)
        content = template.filled(prompt, where)
        return Row((Segment("prompt", content, "given"),), where=where)

    @cached_property
    def _pair(self) -> tuple[Template, Template] | None:
        if self.prompt is None or self.answer is None:
            return None
        return Template.of_column(self.prompt), Template.of_column(self.answer)

    @cached_property
    def _chats(self) -> Chats:
        if isinstance(self.template, str):
            return Chats(None, self.learn)
        texts = TEMPLATES if self.template is None else self.template
        return Chats({role: Template.parse(text) for role, text in texts.items()}, self.learn)

    def shape(self) -> tuple[str, ...]:
        """The columns, and what is made of them."""
        return tuple(attribute.name for attribute in attrs.fields(Shaped))


def _says(content: TextContent) -> bool:
    """Whether there is more in a content than what its template says."""
    parts = (content,) if isinstance(content, str) else content
    return any(isinstance(part, str) and part for part in parts)
