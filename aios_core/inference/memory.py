"""Memory conditioning: texts that are written with the user's own memories in mind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from attrs import frozen

from aios_core.diffusion.guidance import ClassifierFree
from aios_core.errors import InferenceError

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import Condition, Denoiser, Id, TrainedTokenizer
    from aios_core.diffusion.caching import Caching
    from aios_core.diffusion.model import Model
    from aios_core.inference.masked import Batch
    from aios_core.inference.prompts import Row
    from aios_core.memory import Memories, Recall


@frozen
class UsedMemory:
    """A memory that a text was written with."""

    id: Id
    text: str
    """Empty where the store keeps none."""
    score: float
    """Similarity to the prompt, by which it was found."""
    influence: float
    """How much it mattered: by how many nats the written tokens are less likely, in the network's
    first prediction, when it is told of all the others and not of this one."""


class MemoryConditioner:
    """Finds memories by what is given of a text, and tells the network of them.

    What is given is embedded, the k nearest memories are read from the store, their vectors are
    projected, and each layer of the backbone attends to them behind a gate that is zero until it
    is trained. Training it is ``aios run`` with ``memory.k`` of at least 1; some texts are told of
    none there, so that guidance can lead away from what the network says without memories.

    Args:
        recall: the store.
        model: trained with memories.
        tokenizer: of the model.
        k: most memories for a text.
        gamma: scale of the guidance from no memories to these; 1 is none.
    """

    def __init__(
        self,
        recall: Recall,
        model: Model,
        tokenizer: TrainedTokenizer,
        *,
        k: int,
        gamma: float = 1.0,
    ) -> None:
        self.recall, self.model, self.tokenizer = recall, model, tokenizer
        self.k, self.gamma = k, gamma

    def memories(self, rows: Sequence[Row]) -> Memories:
        """The memories nearest to what is given of each row.

        Raises:
            InferenceError: nothing is given of a row, so there is nothing to find any by.
        """
        prompts = []
        for number, row in enumerate(rows):
            given = [one for one, fixed in zip(row.ids, row.fixed, strict=True) if fixed]
            if not given:
                raise InferenceError(
                    f"memory_guided: memories are found by what is given, and row {number} gives "
                    "nothing; expected a prompt"
                )
            prompts.append(self.tokenizer.decode(given))
        # Whoever made an index wants it used; where there is none, approximate search is exact.
        approximate = "approximate" in self.recall.store.backend.capabilities
        return self.recall(prompts, self.k, exact=False if approximate else None)

    def denoiser(
        self, memories: Memories, condition: Condition | None, cache: Caching = "none"
    ) -> Denoiser:
        """The network as samplers see it, told of memories, and guided by them.

        Args:
            memories: of the rows of the batch.
            condition: what else the network is told.
            cache: as for `Model.denoiser`; without guidance alone.
        """
        told = self.model.remembering(memories).denoiser(condition, cache=cache)
        if self.gamma == 1:
            return told
        alone, absorbing = self.model.denoiser(condition), self.model.process.absorbing
        mask_id = self.model.vocabulary.mask_id
        return ClassifierFree(told, alone, self.gamma, mask_id, absorbing=absorbing)

    def used(
        self, memories: Memories, batch: Batch, ids: Tensor, lengths: Sequence[int]
    ) -> list[tuple[UsedMemory, ...]]:
        """What each memory did, by leaving it out: K + 1 evaluations of the network.

        Args:
            memories: that the batch was written with.
            batch: as it was before.
            ids: (B, L) int64, as it was written.
            lengths: tokens of each row that count.
        """
        all_told = self._said(memories, batch, ids, lengths)
        places = np.arange(memories.valid.shape[1])
        drops = np.stack(
            [
                all_told - self._said(memories.where(places != k), batch, ids, lengths)
                for k in places
            ],
            1,
        )
        return [
            tuple(
                UsedMemory(one.id, one.text, one.score, float(drop))
                for one, drop in zip(found, row, strict=False)
            )
            for found, row in zip(memories.rows, drops, strict=True)
        ]

    @torch.no_grad()
    def _said(
        self, memories: Memories, batch: Batch, ids: Tensor, lengths: Sequence[int]
    ) -> np.ndarray:
        """Log-probability (B,) of what was written, all of it predicted at once."""
        denoiser, process = (
            self.model.remembering(memories).denoiser(batch.condition),
            self.model.process,
        )
        t, x = torch.ones(len(ids), dtype=torch.float64, device=ids.device), batch.x
        if not process.absorbing:  # noise is tokens then, the same ones for every question
            u = torch.rand(x.shape, generator=torch.Generator().manual_seed(0)).double()
            noise = process.prior(u.to(x.device))
            x = torch.where(x == self.model.vocabulary.mask_id, noise, x)
        log_probs = denoiser(x, t).gather(-1, ids[..., None])[..., 0]
        ends = torch.tensor(lengths, device=ids.device)[:, None]
        counted = ~batch.fixed & (torch.arange(ids.shape[1], device=ids.device) < ends)
        said: np.ndarray = log_probs.double().masked_fill(~counted, 0).sum(-1).cpu().numpy()
        return said
