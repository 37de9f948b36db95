"""Guidance: away from the same text without its prompt or its cues, or behind another prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from aios_core.contracts import Condition
from aios_core.diffusion.guidance import ClassifierFree, Reprompted
from aios_core.diffusion.random import RowRandom

if TYPE_CHECKING:
    from aios_core.contracts import Denoiser
    from aios_core.diffusion.model import Model
    from aios_core.inference.masked import Batch


def guided_by_prompt(
    model: Model, denoiser: Denoiser, batch: Batch, gamma: float, negative: Sequence[int] | None
) -> Denoiser:
    """Lead a denoiser away from what it says without the prompt, or with another one.

    Args:
        model: of the denoiser.
        denoiser: conditioned on the prompts.
        batch: the rows.
        gamma: the scale.
        negative: tokens of the other prompt; None hides all that is given (arXiv 2410.18514), by
            masks, or by the same noise in every row.
    """
    vocabulary, absorbing, width = model.vocabulary, model.process.absorbing, batch.x.shape[1]
    if negative is None:
        places = torch.arange(width, device=batch.x.device)
        hidden = batch.fixed & batch.valid & (places >= batch.begin)
        take = torch.where(hidden, width + places, places)
        if absorbing:
            extra = torch.full_like(places, vocabulary.mask_id)
        else:
            extra = model.process.prior(RowRandom([0], width, places.device).uniform()[0])
        away = Reprompted(model.denoiser(batch.condition), extra, take, places.expand_as(take))
        return ClassifierFree(denoiser, away, gamma, vocabulary.mask_id, absorbing=absorbing)
    extra = torch.tensor([vocabulary.pad_id, *negative])
    prompts = (batch.fixed & batch.valid).sum(-1)
    lengths = torch.tensor(batch.lengths, device=batch.x.device) - prompts + len(negative)
    places = torch.arange(int(lengths.max()), device=batch.x.device)
    shifted = places - len(negative) + prompts[:, None]
    take = torch.where(places < len(negative), width + 1 + places, shifted)
    valid = places < lengths[:, None]
    take = torch.where(valid, take, width)
    back = torch.arange(width, device=batch.x.device) - prompts[:, None] + len(negative)
    other = model.denoiser(None if bool(valid.all()) else Condition(valid))
    away = Reprompted(other, extra.to(batch.x.device), take, back.clamp(0, len(places) - 1))
    return ClassifierFree(denoiser, away, gamma, vocabulary.mask_id, absorbing=absorbing)


def guided_by_cues(model: Model, denoiser: Denoiser, batch: Batch, gamma: float) -> Denoiser:
    """Lead a denoiser away from what it says without the cues of its rows.

    Args:
        model: of the denoiser, without cues.
        denoiser: conditioned.
        batch: the rows.
        gamma: the scale.
    """
    alone, absorbing = model.denoiser(batch.condition), model.process.absorbing
    return ClassifierFree(denoiser, alone, gamma, model.vocabulary.mask_id, absorbing=absorbing)
