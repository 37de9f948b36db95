"""Rows to be completed: from prompts, and from token ids; `gaps` has those of texts with gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, frozen
from torch import Tensor

from aios_core.component import blamed
from aios_core.contracts.reader import TextSettings, writable
from aios_core.errors import DataError, InferenceError, TokenizerError
from aios_core.formats import reader_of, texts_of

if TYPE_CHECKING:
    from aios_core.contracts import Dataset, Row, TrainedTokenizer

Prompt = str | Mapping[str, Any] | Sequence[str] | Sequence[int] | Sequence[Sequence[int]] | Any
"""A text, or values by column as a row of the run's data set has them; several of either; the token
ids of one (also an array), or those of several."""


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


def asked(
    dataset: Dataset, tokenizer: TrainedTokenizer, prompt: Prompt, *, raw: bool = False
) -> list[list[int]]:
    """Token ids of what stands before the answer to each prompt.

    Texts are written as the rows of the data set write theirs: names of special tokens in what its
    template says are these tokens, and in a prompt they are text.

    Args:
        dataset: of the run.
        tokenizer: of the run.
        prompt: what is asked; an empty text asks nothing, and token ids stay what they are.
        raw: texts stay what they are as well.

    Raises:
        InferenceError: it is not what rows are made of, or cannot be encoded.
    """
    prompts: Any = [prompt] if isinstance(prompt, str | Mapping) else prompt
    if not (isinstance(prompts, Sequence) and prompts):
        return encoded(tokenizer, prompt)
    if not all(isinstance(entry, str | Mapping) for entry in prompts):
        return encoded(tokenizer, prompt)
    rows = [_asked(dataset, entry, raw=raw) for entry in prompts]
    if not any(rows):
        return encoded(tokenizer, prompts)
    try:
        return [
            tokenizer.encode(entry).tolist() if row is None else _ids(row, tokenizer)
            for entry, row in zip(prompts, rows, strict=True)
        ]
    except DataError as error:  # of a template, which says where it is
        raise InferenceError(str(error)) from error
    except TokenizerError as error:
        raise InferenceError(f"prompt: {error}") from error


def prompts_of(
    file: Path, dataset: Dataset, *, raw: bool = False
) -> list[tuple[str, str | Mapping[str, Any]]]:
    """What is asked in a file, each with where it is.

    Args:
        file: a text, whose lines are prompts, or rows: of each what the data set makes its prompts
            of, by column, or else its ``text``.
        dataset: of the run.
        raw: texts are continued as they are, so only the ``text`` of a row is one.

    Raises:
        DataError: it cannot be read, holds nothing, or has a row that is no prompt.
    """
    reader, prompts = reader_of(file), list[tuple[str, str | Mapping[str, Any]]]()
    if reader.plain:
        prompts += texts_of(file)
    else:
        for row in reader.records(file, TextSettings()):
            where = reader.place(file, row)
            prompts.append((where, _of_row(row.values, where, dataset, raw=raw)))
    if not prompts:
        raise DataError(f"{file}: holds no text; expected a prompt a line")
    return prompts


def _of_row(
    values: Mapping[str, Any], where: str, dataset: Dataset, *, raw: bool
) -> str | Mapping[str, Any]:
    """What a row of a file asks."""
    fault, text = None, values.get("text")
    if not raw:
        try:
            with blamed(dataset, "asked"):
                row = dataset.asked(values)
            if row is not None and row.joined("given"):
                return values
        except DataError as error:
            fault = str(error).removeprefix("prompt: ")
    if isinstance(text, str) and text and writable(text):
        return text
    raise DataError(f"{where}: {fault or 'expected a text under the key `text`'}")


def _asked(dataset: Dataset, prompt: str | Mapping[str, Any], *, raw: bool) -> Row | None:
    """The row of a prompt; None: it stays what it is."""
    if isinstance(prompt, str) and (raw or not prompt):
        return None
    if raw:
        raise InferenceError("`prompt`: expected a text where `raw` is set, got values by column")
    try:
        with blamed(dataset, "asked"):
            row = dataset.asked(prompt)
    except DataError as error:
        raise InferenceError(str(error)) from error
    if row is None and not isinstance(prompt, str):
        raise InferenceError(
            "prompt: expected a text or token ids, got values by column, which rows of the run's "
            "data set do not have"
        )
    return row


def _ids(row: Row, tokenizer: TrainedTokenizer) -> list[int]:
    """The token ids of a row that ends where an answer begins."""
    if row.chat:
        row = tokenizer.chat(row, asked=True)
    given = (segment for segment in row.segments if segment.role != "absent")
    return [int(i) for segment in given for i in tokenizer.encode_content(segment.content)]


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
