"""Which texts may be written: the constraint of a call, and what it reads of each row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from aios_core.component import blamed, named
from aios_core.contracts import Automaton
from aios_core.diffusion.constraints import TokenConstraint, lift
from aios_core.errors import InferenceError, PluginError
from aios_core.formats import built

if TYPE_CHECKING:
    from aios_core.contracts import Constraint, Controls, TrainedTokenizer
    from aios_core.inference.output import Output
    from aios_core.inference.prompts import PromptRow
    from aios_core.inference.settings import Settings
    from aios_core.registry import Registry


def texts(constraint: Constraint, pattern: str) -> Automaton:
    """The texts of a pattern, all of which can be decoded.

    Raises:
        InferenceError: the constraint refuses the pattern.
        PluginError: what the constraint gives cannot be used.
    """
    with blamed(constraint, "automaton"):
        automaton: object = constraint.automaton(pattern)
    if not isinstance(automaton, Automaton):
        raise PluginError(
            f"{named(constraint)}: automaton gives {type(automaton).__name__}; expected an "
            "Automaton"
        )
    if (start := automaton.undecodable()) is not None:
        raise PluginError(
            f"{named(constraint)}: automaton accepts a text that begins with {start!r:.80}; "
            "expected UTF-8"
        )
    return automaton


def _json(schema: Mapping[str, Any]) -> str:
    """A schema as its JSON."""
    try:
        return json.dumps(schema, default=_members, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InferenceError(f"json_schema: expected what JSON can say: {error}") from error


def _members(value: object) -> dict[Any, Any]:
    """Those of a mapping of another class than JSON's own."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


@frozen(eq=False)
class TextConstraint:
    """A constraint on what follows the prompts, or on whole texts."""

    on_tokens: TokenConstraint
    on_text: Automaton
    """What the texts themselves must satisfy."""
    tokenizer: TrainedTokenizer
    whole: bool
    mask_id: int

    @classmethod
    def of(
        cls,
        settings: Settings,
        controls: Controls,
        tokenizer: TrainedTokenizer,
        registry: Registry,
        *,
        whole: bool,
    ) -> TextConstraint | None:
        """What the options ask for; None where they ask for nothing.

        Raises:
            InferenceError: what they ask for cannot be parsed, is too large, or allows no text.
            PluginError: there is no such constraint, or it cannot be used.
            TokenizerError: it cannot be said what tokens add to a text.
        """
        if settings.regex is not None:
            name, pattern = "regex", settings.regex
        elif settings.json_schema is not None:
            name, pattern = "json-schema", _json(settings.json_schema)
        elif settings.constraint is not None:
            name, _, pattern = settings.constraint.partition(":")
        else:
            return None
        vocabulary = tokenizer.vocabulary
        text = texts(built("constraint", name, registry), pattern)
        automaton = lift(
            text,
            tokenizer.spelling(),
            eos_id=None if whole or settings.ignore_eos else vocabulary.eos_id,
            forbidden=controls.suppress_tokens,
        )
        return cls(TokenConstraint(automaton), text, tokenizer, whole, vocabulary.mask_id)

    def start(self, row: PromptRow) -> int:
        """Where it begins to read."""
        return row.begin if self.whole else len(row.prompt)

    def check(self, rows: Sequence[PromptRow]) -> None:
        """See that every row can be completed.

        Raises:
            InferenceError: one cannot.
        """
        self.on_tokens.check([row.ids[self.start(row) :] for row in rows], self.mask_id)

    def verify(self, rows: Sequence[PromptRow], output: Output) -> None:
        """See that the promise was kept.

        Raises:
            InferenceError: a sampler drew tokens by other means than its context, or the tokenizer
                decodes them otherwise than it says.
        """
        for number, (row, ids) in enumerate(zip(rows, output.token_ids, strict=True)):
            read = ids[self.start(row) - row.begin :]
            if not self.on_tokens.automaton.accepts(read):
                raise InferenceError(
                    f"row {number} does not satisfy the constraint: the sampler draws tokens by "
                    "other means than context.categorical, so nothing can be promised with it"
                )
            text = self.tokenizer.decode(read)
            if not self.on_text.matches(text.encode()):
                name = type(self.tokenizer).__name__
                raise InferenceError(
                    f"row {number} does not satisfy the constraint: {name} decodes its tokens to "
                    f"{text[:80]!r}, which is not what its method spelling says"
                )
