"""The autoregressive path of the engine: prompts in, texts out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.inference.autoregressive import InferenceCore
    from aios_core.inference.constraints import TextConstraint
    from aios_core.inference.output import Update
    from aios_core.inference.progress import Progress


@frozen(eq=False)
class CausalRun:
    """All that a batch needs besides its rows."""

    core: InferenceCore
    constraint: TextConstraint | None

    def stream(self, progress: Progress, *, all_states: bool) -> Iterator[Update]:
        """Write a batch, and stop when every row has ended.

        Args:
            progress: the rows.
            all_states: yield every state; otherwise the last alone.
        """
        prompts = [list(row.prompt) for row in progress.rows]
        ids = [list(prompt) for prompt in prompts]
        log_probs = [[0.0] * len(prompt) for prompt in prompts]
        entropy = [[0.0] * len(prompt) for prompt in prompts]
        nfe = 0
        counts = [
            len(row.ids) - len(prompt) for row, prompt in zip(progress.rows, prompts, strict=True)
        ]
        if all_states:
            yield progress.update(0, 0, ids, [[False] * len(row) for row in ids])
        constraint = self.constraint
        restrict = None if constraint is None else constraint.on_tokens.restrict(counts)
        for step in self.core.stream(
            prompts,
            seeds=progress.seeds,
            max_new_tokens=counts,
            eos_id=progress.eos_id,
            restrict=restrict,
        ):
            nfe, active = step.nfe, step.active.tolist()
            kept: list[tuple[list[list[Any]], Tensor]] = [
                (ids, step.tokens),
                (log_probs, step.log_probs),
                (entropy, step.entropy),
            ]
            for rows, values in kept:
                for row, value, on in zip(rows, values.tolist(), active, strict=True):
                    row.extend([value] * on)
            if all_states:
                new = [
                    [False] * (len(row) - on) + [True] * on
                    for row, on in zip(ids, active, strict=True)
                ]
                yield progress.update(nfe, nfe, ids, new)
        yield progress.finish(nfe, progress.output(nfe, ids, log_probs, entropy))
