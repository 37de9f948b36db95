"""Whether an answer is JSON, and what a schema says."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from attrs import Attribute, field, frozen, validators

from aios_core import strict_json
from aios_core.contracts import Checker
from aios_plugins._grammar.documents import satisfies
from aios_plugins._grammar.schema import read_schema

if TYPE_CHECKING:
    from aios_core.contracts import Completion

MOST_TEXT: Final = 1 << 20
"""Characters of an answer; what is longer is wrong, and not read."""


@frozen
class Json(Checker):
    """An answer that is one JSON document, each key once in an object, with space around or not."""

    schema: str | None = field(
        default=None, validator=validators.optional(validators.instance_of(str))
    )
    """A JSON schema, in JSON, that the document must satisfy; of the words of ``aios sample
    --json-schema``. Unset: any document is right."""

    @schema.validator
    def _compiles(self, attribute: Attribute[str | None], value: str | None) -> None:
        if value is not None:
            _schema(value)

    def check(self, completion: Completion) -> bool:
        """Whether it can be read and satisfies the schema."""
        text = completion.answer
        if len(text) > MOST_TEXT:
            return False
        try:
            document = strict_json.loads(text, finite=True)
        except (ValueError, RecursionError):
            return False
        return self.schema is None or satisfies(document, _schema(self.schema))


_schema = lru_cache(maxsize=16)(read_schema)
