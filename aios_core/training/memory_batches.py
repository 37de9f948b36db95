"""Retrieves the memories for each training batch, by the beginnings of its texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from aios_core.memory import Recall

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from aios_core.config.schema import Config
    from aios_core.contracts import TrainedTokenizer
    from aios_core.memory import Memories


class MemoryBatches:
    """Memories for windows of text.

    As when sampling, they are found by what stands in front alone: a search by the whole text
    would find those that hold the rest of it, which no prompt knows.

    Args:
        config: its ``memory.k`` is at least 1.
        tokenizer: of the windows.
    """

    def __init__(self, config: Config, tokenizer: TrainedTokenizer) -> None:
        self._settings, self._tokenizer = config.memory, tokenizer
        self._recall = Recall.open(config)

    def for_training(self, ids: Tensor, generator: Generator) -> Memories:
        """Found by a beginning of random length, and none for some texts.

        Args:
            ids: (B, L) int64 on the CPU.
            generator: on the CPU.
        """
        lengths = torch.randint(1, ids.shape[1] + 1, (len(ids),), generator=generator)
        found = self._found(ids, lengths.tolist())
        kept = torch.rand(len(ids), 1, generator=generator) >= self._settings.dropout
        return found.where(kept.numpy())

    def halfway(self, ids: Tensor) -> Memories:
        """Found by the first half of each text."""
        return self._found(ids, [-(-ids.shape[1] // 2)] * len(ids))

    def _found(self, ids: Tensor, lengths: list[int]) -> Memories:
        texts = [
            self._tokenizer.decode(row[:length].tolist())
            for row, length in zip(ids, lengths, strict=True)
        ]
        # Exactly, for what is found must not depend on how an index was built.
        return self._recall(texts, self._settings.k, exact=True)
