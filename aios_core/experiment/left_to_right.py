"""What an autoregressive network writes where the rows of a data set are to be filled in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from aios_core.inference.autoregressive import InferenceCore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aios_core.config.schema import Config
    from aios_core.contracts import Sequences
    from aios_core.diffusion.model import Model


def filled_in(
    config: Config, model: Model, asked: Sequences, seeds: Sequence[int]
) -> tuple[Tensor, int]:
    """Rows whose targets are written from left to right, each seeing what stands before it.

    What is given behind a target stays as it is, though nothing before it could look at it: that
    is what such a network cannot do.

    Args:
        config: of the run; temperature and what may be drawn are those of ``[sampling]``.
        model: an autoregressive network.
        asked: rows that begin with a begin token; their targets are written.
        seeds: one for each row.

    Returns:
        (B, L) int64 ids, with padding behind an end token that was drawn; and the calls of the
        network, each for the whole batch.
    """
    device, vocabulary = model.device, model.vocabulary
    numbers = torch.arange(asked.ids.shape[1])
    first = asked.targets.long().argmax(-1)
    last = torch.where(asked.targets, numbers, -1).amax(-1)
    ids = asked.ids.masked_fill(asked.targets, vocabulary.pad_id)
    forced = asked.ids.masked_fill(asked.targets, -1).to(device)
    starts = first.to(device)
    rows = torch.arange(len(ids), device=device)

    def restrict(log_probs: Tensor, histories: Sequence[Sequence[int]]) -> Tensor:
        place = starts + max(map(len, histories))
        token = forced[rows, place.clamp(max=forced.shape[1] - 1)]
        certain = torch.full_like(log_probs, -torch.inf)
        certain.scatter_(-1, token.clamp(min=0)[:, None], 0.0)
        return torch.where((token >= 0)[:, None], certain, log_probs)

    core = InferenceCore(model, temperature=config.sampling.temperature, controls=config.sampling)
    prompts = [row[1:start].tolist() for row, start in zip(asked.ids, first, strict=True)]
    nfe = 0
    for step in core.stream(
        prompts,
        seeds=seeds,
        max_new_tokens=(last - first + 1).tolist(),
        eos_id=vocabulary.eos_id,
        restrict=restrict,
    ):
        active, tokens = step.active.cpu(), step.tokens.cpu()
        place = (first + nfe)[active]
        ids[active.nonzero()[:, 0], place] = tokens[active]
        nfe = step.nfe
    return ids, nfe
