"""What memories are worth to a network that was trained with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np
import torch
from attrs import frozen

from aios_core.contracts import Condition, Estimate, Evidence, Metric
from aios_core.diffusion.times import draw_times
from aios_core.training import cues

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from aios_core.config.schema import Config
    from aios_core.contracts import Network


@frozen
class Memory(Metric):
    """By how much memories lower the NELBO of the second halves of held-out texts.

    Each second half is measured given its first, by which its memories are found: with these, with
    those of another text, and with none, always on the same noise. Gains are differences to none,
    and standard errors are of the differences. Nothing for a network that has no memories, for
    other noise than masks, or for blocks.
    """

    of: ClassVar = "model"
    better: ClassVar = {"memory_gain": "higher"}
    units: ClassVar = {"memory_gain": "nats/token", "memory_gain_random": "nats/token"}

    @torch.no_grad()
    def measure(self, evidence: Evidence) -> dict[str, Estimate]:
        """``memory_gain`` with the memories of each text, ``memory_gain_random`` with others."""
        model, config = evidence.model, evidence.config
        if model.conditioner is None or not model.process.absorbing or model.in_blocks:
            return {}
        source = cues.source(cast("Config", config), evidence.tokenizer)
        ids, valid = evidence.held_out.windows(config.diffusion.length)
        ids, valid = ids[valid.all(-1)], valid[valid.all(-1)]
        if len(ids) < 2:  # there is no other text
            return {}
        free = torch.arange(ids.shape[1]).expand_as(ids) >= -(-ids.shape[1] // 2)
        right = source.for_evaluation(ids)
        if right is None:
            return {}
        other = right.taken(np.roll(np.arange(len(ids)), len(ids) // 2))
        draws, size = config.evaluation.draws, config.evaluation.batch_size
        generator = torch.Generator().manual_seed(config.seed)
        gains: dict[str, list[float]] = {name: [] for name in self.units}
        for start in range(0, len(ids), size):
            rows = np.arange(start, min(start + size, len(ids)))
            times = draw_times(len(rows) * draws, generator).view(draws, len(rows))
            seed = int(torch.randint(2**62, (), generator=generator))
            batch = tuple(tensor[start : start + size] for tensor in (ids, valid, free))
            alone = _nats(model, batch, times, seed)
            for name, given in zip(gains, (right, other), strict=True):
                gain = alone - _nats(model.conditioned(given.taken(rows)), batch, times, seed)
                gains[name] += gain.tolist()
        tokens = free.sum(-1).tolist()
        return {name: Estimate.ratio(values, tokens) for name, values in gains.items()}


def conditional_nelbo(
    model: Network, x0: Tensor, valid: Tensor, times: Tensor, generator: Generator, *, free: Tensor
) -> Tensor:
    """One draw of the bound of -log p(free | rest) for each row.

    MDLM's NELBO (arXiv 2406.07524, eq. 10) with noise on some positions alone: the others are
    clean, as a prompt is.

    Args:
        model: a diffusion model under masks, not in blocks.
        x0: (B, L) int64 clean tokens.
        valid: (B, L) bool, False at padding.
        times: (B,) float64 uniform in [0, 1].
        generator: of the noise, on the CPU.
        free: (B, L) bool, what the bound is of.

    Returns:
        (B,) nats.
    """
    alpha = model.noise.alpha(times)
    hidden = torch.rand(x0.shape, generator=generator, dtype=torch.float64) >= alpha[:, None]
    hidden &= free & valid
    z = model.place(torch.where(hidden, model.vocabulary.mask_id, x0))
    condition = None if bool(valid.all()) else Condition(model.place(valid))
    h = model.states(z, model.place(times), condition)
    row, column = hidden.nonzero().unbind(1)
    losses = model.losses(h[model.place(row), model.place(column)], model.place(x0[row, column]))
    total = torch.zeros(len(x0), dtype=torch.float64, device=losses.device)
    total.index_add_(0, model.place(row), losses.double())
    return model.place(model.noise.weight(times)) * total


def _nats(model: Network, batch: tuple[Tensor, ...], times: Tensor, seed: int) -> Tensor:
    """The mean over draws of the bound of each row."""
    ids, valid, free = batch
    noise = torch.Generator().manual_seed(seed)
    drawn = [conditional_nelbo(model, ids, valid, t, noise, free=free) for t in times]
    return torch.stack(drawn).mean(0)
