"""Texts as windows: what a network is shown of them, where its uncertainty is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from aios_core.contracts import Sequences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aios_core.contracts import Vocabulary
    from aios_core.training.checkpoint import Checkpoint
    from aios_core.training.tokens import Tokens


def begin_of(model: Checkpoint) -> list[int]:
    """Ids in front of every text: a begin token, where the network has learned so."""
    documents = model.resolved.config.diffusion.packing == "documents"
    return [model.model.vocabulary.bos_id] * documents


def cut(
    texts: Sequence[Sequence[int]], length: int, begin: Sequence[int], vocabulary: Vocabulary
) -> tuple[Sequences, list[int]]:
    """Texts in windows, the last of each as long as what is left.

    Args:
        texts: ids of each, one at least.
        length: most positions of a window.
        begin: ids in front of each text, which are given.
        vocabulary: of the ids.

    Returns:
        The windows, row by row, and the number of each one's text.
    """
    rows: list[list[int]] = []
    given: list[int] = []
    owners: list[int] = []
    for number, text in enumerate(texts):
        ids = [*begin, *text]
        windows = [ids[at : at + length] for at in range(0, len(ids), length)]
        rows += windows
        given += [len(begin), *[0] * (len(windows) - 1)]
        owners += [number] * len(windows)
    width = max(map(len, rows))
    ids_ = torch.tensor([[*row, *[vocabulary.pad_id] * (width - len(row))] for row in rows])
    place = torch.arange(width)
    valid = place < torch.tensor([len(row) for row in rows])[:, None]
    targets = valid & (place >= torch.tensor(given)[:, None])
    return Sequences(ids_, valid, targets), owners


def held_out(tokens: Tokens) -> Sequences:
    """Held-out texts as `cut` shows them: full windows and, of documents, whole ones too.

    A window in which a long document ends is left out: it may be of any length, however long the
    text. The end token of a document is not shown, for nobody gives one where texts are scored.

    Args:
        tokens: of the split.
    """
    if not tokens.framing.documents:
        windows = tokens.sequences()
        return windows[windows.valid.all(-1)]
    windows, vocabulary = tokens.sequences(), tokens.rows.vocabulary
    shown = windows.valid & (windows.ids != vocabulary.eos_id)
    targets = windows.targets & shown
    whole = (windows.ids[:, 0] == vocabulary.bos_id) | shown.all(-1)
    kept = whole & targets.any(-1)
    ids = windows.ids.masked_fill(~shown, vocabulary.pad_id)
    return Sequences(ids[kept], shown[kept], targets[kept])
