"""What memories are worth to a network that was trained with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np
import torch
from attrs import frozen

from aios_core.contracts import Estimate, Evidence, Metric, Sequences
from aios_core.diffusion.objective import nelbo
from aios_core.diffusion.random import RowRandom
from aios_core.diffusion.times import draw_times
from aios_core.training import cues

if TYPE_CHECKING:
    from torch import Tensor

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
        sequences = evidence.held_out.sequences()
        sequences = sequences[sequences.sizes >= 2]  # of others no half can be predicted
        if len(sequences) < 2:  # there is no other text
            return {}
        half = sequences.targets.cumsum(-1) * 2 > sequences.sizes[:, None]
        asked = Sequences(sequences.ids, sequences.valid, sequences.targets & half)
        right = source.for_evaluation(sequences.first_halves(model.vocabulary.pad_id))
        if right is None:
            return {}
        other = right.taken(np.roll(np.arange(len(asked)), len(asked) // 2))
        draws, size = config.evaluation.draws, config.evaluation.batch_size
        generator = torch.Generator().manual_seed(config.seed)
        gains: dict[str, list[float]] = {name: [] for name in self.units}
        for start in range(0, len(asked), size):
            part = asked[start : start + size]
            rows = range(start, start + len(part))
            times = draw_times(len(part) * draws, generator).view(draws, len(part))
            alone = _nats(model, part, times, config.seed, rows)
            for name, given in zip(gains, (right, other), strict=True):
                network = model.conditioned(given.taken(np.array(rows)))
                gains[name] += (alone - _nats(network, part, times, config.seed, rows)).tolist()
        tokens = (sequences.sizes - sequences.sizes // 2).tolist()
        return {name: Estimate.ratio(values, tokens) for name, values in gains.items()}


def _nats(model: Network, asked: Sequences, times: Tensor, seed: int, rows: range) -> Tensor:
    """The mean over draws of the bound of each row."""
    random = RowRandom.numbered(seed, rows, asked.ids.shape[1])
    return torch.stack([nelbo(model, asked, t, random) for t in times]).mean(0).cpu()
