"""Rows to be completed: from prompts, and from token ids; `gaps` has those of texts with gaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, frozen
from torch import Tensor

from aios_core.errors import InferenceError, TokenizerError

if TYPE_CHECKING:
    from aios_core.contracts import TrainedTokenizer

Prompt = str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]] | Any
"""A text, texts, the token ids of one (also an array), or those of several."""


@frozen(eq=False)
class PromptRow:
    """One text to be completed."""

    ids: tuple[int, ...]
    """L token ids, the mask id where text is wanted."""
    fixed: tuple[bool, ...]
    """L flags: what must not change."""
    begin: int = 0
    """Begin tokens in front, which are no part of the text."""

    @property
    def prompt(self) -> tuple[int, ...]:
        """What is given in front of the first token that is wanted, begin token and all."""
        return self.ids[: self.fixed.index(False)]

    @property
    def given(self) -> list[int]:
        """What the caller gave, wherever it stands."""
        pairs = zip(self.ids[self.begin :], self.fixed[self.begin :], strict=True)
        return [token for token, fixed in pairs if fixed]

    def begun(self, bos_id: int) -> PromptRow:
        """The row behind a begin token; one that stands there already is that."""
        if self.ids[0] == bos_id and self.fixed[0]:
            return evolve(self, begin=1)
        return PromptRow((bos_id, *self.ids), (True, *self.fixed), 1)


def is_text(prompt: Prompt) -> bool:
    """Whether a prompt is text, one or several, rather than token ids."""
    if isinstance(prompt, str):
        return True
    return isinstance(prompt, Sequence) and len(prompt) > 0 and isinstance(prompt[0], str)


def encoded(tokenizer: TrainedTokenizer, prompt: Prompt) -> list[list[int]]:
    """Token ids of each prompt.

    Raises:
        InferenceError: it is neither text nor token ids of the vocabulary.
    """
    rows: Any = [prompt] if isinstance(prompt, str) else prompt
    try:
        if is_text(rows):
            return [row.tolist() for row in tokenizer.encode_each(list(rows))]
        if len(rows) and np.ndim(rows[0]) == 0:
            rows = [rows]
        return [tokenizer.vocabulary.check(row).tolist() for row in rows]
    except (TokenizerError, TypeError, ValueError) as error:
        raise InferenceError(f"prompt: expected text or token ids; {error}") from error


def prompted(ids: Sequence[int], count: int, mask_id: int) -> PromptRow:
    """A text that begins with a prompt."""
    return PromptRow((*ids, *[mask_id] * count), (True,) * len(ids) + (False,) * count)


def rows_from_ids(ids: Sequence[Sequence[int]], fixed: Any, mask_id: int) -> list[PromptRow]:
    """Rows of token ids, masks where text is wanted.

    Args:
        ids: B rows of L ids.
        fixed: (B, L) or, for one row, (L,) booleans: what must not change.
        mask_id: token id of the mask.

    Raises:
        InferenceError: ``fixed`` has another shape, holds something else than booleans, fixes a
            mask, or leaves nothing to do.
    """
    flags = np.asarray(fixed.cpu() if isinstance(fixed, Tensor) else fixed)
    flags = flags[None] if flags.ndim == 1 else flags
    if {len(row) for row in ids} != {flags.shape[-1]} or flags.shape[:-1] != (len(ids),):
        shape = (len(ids), len(ids[0])) if ids else (0, 0)
        raise InferenceError(
            f"fixed has the shape {np.shape(fixed)}; expected that of the ids, {shape}"
        )
    if flags.dtype != np.bool_:
        raise InferenceError(f"fixed holds {flags.dtype}; expected booleans")
    rows = [
        PromptRow(tuple(row), tuple(flag.tolist())) for row, flag in zip(ids, flags, strict=True)
    ]
    for number, row in enumerate(rows):
        for place, (token, kept) in enumerate(zip(row.ids, row.fixed, strict=True)):
            if kept and token == mask_id:
                raise InferenceError(
                    f"row {number}, position {place} is fixed and holds a mask; give it a token, "
                    "or let it be sampled"
                )
        if all(row.fixed):
            raise InferenceError(f"row {number} is fixed as a whole; there is nothing to sample")
    return rows
