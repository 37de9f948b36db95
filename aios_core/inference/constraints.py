"""Which texts may be written: the constraint of a call, and what it reads of each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from aios_core.diffusion.constraints import Constraint, lift
from aios_core.errors import InferenceError
from aios_core.grammar import compile_pattern, compile_schema, parse

if TYPE_CHECKING:
    from aios_core.contracts import Controls, TrainedTokenizer
    from aios_core.grammar import Automaton
    from aios_core.inference.output import Output
    from aios_core.inference.prompts import Row
    from aios_core.inference.settings import Settings


@frozen(eq=False)
class TextConstraint:
    """A constraint on what follows the prompts, or on whole texts."""

    on_tokens: Constraint
    on_text: Automaton
    """What the texts themselves must satisfy."""
    tokenizer: TrainedTokenizer
    whole: bool
    mask_id: int

    @classmethod
    def of(
        cls, settings: Settings, controls: Controls, tokenizer: TrainedTokenizer, *, whole: bool
    ) -> TextConstraint | None:
        """What the options ask for; None where they ask for nothing.

        Raises:
            InferenceError: what they ask for cannot be parsed, is too large, or allows no text.
            TokenizerError: it cannot be said what tokens add to a text.
        """
        if settings.regex is not None:
            pattern = parse(settings.regex)
        elif settings.json_schema is not None:
            pattern = compile_schema(settings.json_schema)
        else:
            return None
        vocabulary = tokenizer.vocabulary
        text = compile_pattern(pattern)
        automaton = lift(
            text,
            tokenizer.spelling(),
            eos_id=None if whole or settings.ignore_eos else vocabulary.eos_id,
            forbidden=controls.suppress_tokens,
        )
        return cls(Constraint(automaton), text, tokenizer, whole, vocabulary.mask_id)

    def start(self, row: Row) -> int:
        """Where it begins to read."""
        return 0 if self.whole else len(row.prompt)

    def check(self, rows: Sequence[Row]) -> None:
        """See that every row can be completed.

        Raises:
            InferenceError: one cannot.
        """
        self.on_tokens.check([row.ids[self.start(row) :] for row in rows], self.mask_id)

    def verify(self, rows: Sequence[Row], output: Output) -> None:
        """See that the promise was kept.

        Raises:
            InferenceError: a sampler drew tokens by other means than its context, or the tokenizer
                decodes them otherwise than it says.
        """
        for number, (row, ids) in enumerate(zip(rows, output.token_ids, strict=True)):
            read = ids[self.start(row) :]
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
