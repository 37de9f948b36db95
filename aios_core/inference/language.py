"""Which texts may be written: the constraint of a call, and what it reads of each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from aios_core.diffusion.constraints import (
    Constraint,
    compile_pattern,
    compile_schema,
    lift,
    parse,
)
from aios_core.errors import InferenceError

if TYPE_CHECKING:
    from aios_core.contracts import Controls, TrainedTokenizer
    from aios_core.inference.canvas import Row
    from aios_core.inference.output import Output
    from aios_core.inference.settings import Settings


@frozen(eq=False)
class Language:
    """A constraint on what follows the prompts, or on whole texts."""

    constraint: Constraint
    whole: bool
    mask_id: int

    @classmethod
    def of(
        cls, settings: Settings, controls: Controls, tokenizer: TrainedTokenizer, *, whole: bool
    ) -> Language | None:
        """What the options ask for; None where they ask for nothing.

        Raises:
            InferenceError: it is no language, too large a one, or an empty one.
        """
        if settings.regex is not None:
            pattern = parse(settings.regex)
        elif settings.json_schema is not None:
            pattern = compile_schema(settings.json_schema)
        else:
            return None
        vocabulary = tokenizer.vocabulary
        automaton = lift(
            compile_pattern(pattern),
            [tokenizer.token_bytes(token) for token in range(vocabulary.size)],
            eos_id=None if whole or settings.ignore_eos else vocabulary.eos_id,
            forbidden=controls.suppress_tokens,
        )
        return cls(Constraint(automaton), whole, vocabulary.mask_id)

    def start(self, row: Row) -> int:
        """Where it begins to read."""
        return 0 if self.whole else len(row.prompt)

    def check(self, rows: Sequence[Row]) -> None:
        """See that every row can be completed.

        Raises:
            InferenceError: one cannot.
        """
        self.constraint.check([row.ids[self.start(row) :] for row in rows], self.mask_id)

    def verify(self, rows: Sequence[Row], output: Output) -> None:
        """See that the promise was kept.

        Raises:
            InferenceError: a sampler drew tokens by other means than its context.
        """
        for number, (row, ids) in enumerate(zip(rows, output.token_ids, strict=True)):
            if not self.constraint.automaton.accepts(ids[self.start(row) :]):
                raise InferenceError(
                    f"row {number} does not satisfy the constraint: the sampler draws tokens by "
                    "other means than context.categorical, so nothing can be promised with it"
                )
