"""JSON documents that satisfy a JSON Schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from attrs import frozen

from aios_core.contracts import Constraint, PatternExample
from aios_plugins._grammar.machine import compile_pattern
from aios_plugins._grammar.schema import compile_schema, read_schema

if TYPE_CHECKING:
    from aios_core.contracts import Automaton


@frozen
class JsonSchema(Constraint):
    """A JSON document without spaces that satisfies a JSON Schema, which is the pattern.

    Objects have the properties that are named, in that order, and no others. A keyword that cannot
    be promised is refused.
    """

    examples: ClassVar = (
        PatternExample('{"type":"integer"}', right=("0", "-12"), wrong=("01", "1.5", "")),
        PatternExample(
            '{"type":"array","items":{"enum":["a","é"]},"maxItems":2}',
            right=("[]", '["a","é"]'),
            wrong=('["b"]', '["a", "a"]', '["a","a","a"]'),
        ),
        PatternExample(
            '{"type":"object","properties":{"a":{"type":"boolean"},"b":{"type":"string"}},'
            '"required":["a"]}',
            right=('{"a":true}', '{"a":false,"b":"\\n中"}'),
            wrong=("{}", '{"b":"","a":true}', '{"a":1}'),
        ),
    )

    def automaton(self, pattern: str) -> Automaton:
        """The documents that satisfy the schema."""
        return compile_pattern(compile_schema(read_schema(pattern)))
