"""How much a token tells, by how many are hidden."""

from __future__ import annotations

from typing import ClassVar

import torch
from attrs import frozen

from aios_core.contracts import Estimate, Evidence, Metric
from aios_core.diffusion.objective import nelbo
from aios_core.diffusion.random import RowRandom

_PERCENT = range(10, 101, 10)


@frozen
class Information(Metric):
    """Cross-entropy of a hidden token when so many percent of a held-out text are masks.

    The curve that a sampler's grid can follow: ``sampling.spacing = [[0.1, nats_at_10], ...]``
    takes steps of equal information by it. Nothing of a model of other noise than masks.
    """

    of: ClassVar = "model"
    units: ClassVar = {f"nats_at_{percent}": "nats/token" for percent in _PERCENT}

    @torch.no_grad()
    def measure(self, evidence: Evidence) -> dict[str, Estimate]:
        """``nats_at_10`` to ``nats_at_100``, standard errors over sequences."""
        model, config = evidence.model, evidence.config
        if model.mode != "diffusion" or not model.process.absorbing:
            return {}
        size = config.evaluation.batch_size
        sequences, length = evidence.held_out.sequences(), config.diffusion.length
        blocks = length // model.block_size
        starts = range(0, len(sequences), size)
        curve = {}
        for percent in _PERCENT:
            rate = torch.tensor(percent / 100, dtype=torch.float64)
            time = model.noise.inverse(1 - rate).reshape(1, 1)
            totals = []
            for start in starts:
                part = sequences[start : start + size]
                rows = range(start, start + len(part))
                random = RowRandom.numbered(config.seed, rows, length).fork(percent)
                totals.append(nelbo(model, part, time.expand(len(part), blocks), random).cpu())
            hidden = (
                sequences.targets.sum(-1)
                * model.noise.weight(time)[0, 0]
                * model.noise.mask_rate(time)[0, 0]
            )
            curve[f"nats_at_{percent}"] = Estimate.ratio(
                torch.cat(totals).double().tolist(), hidden.tolist()
            )
        return curve
