"""How much a token tells, by how many are hidden."""

from __future__ import annotations

from typing import ClassVar

import torch
from attrs import frozen

from aios_core.contracts import Estimate, Evidence, Metric
from aios_core.diffusion.objective import nelbo

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
        generator = torch.Generator().manual_seed(config.seed)
        ids, valid = evidence.held_out.windows(config.diffusion.length)
        blocks = config.diffusion.length // model.block_size
        curve = {}
        for percent in _PERCENT:
            rate = torch.tensor(percent / 100, dtype=torch.float64)
            time = model.noise.inverse(1 - rate).reshape(1, 1)
            totals = [
                nelbo(
                    model,
                    x0.to(model.device),
                    kept.to(model.device),
                    time.expand(len(x0), blocks).to(model.device),
                    generator,
                ).cpu()
                for x0, kept in zip(ids.split(size), valid.split(size), strict=True)
            ]
            hidden = (
                valid.sum(-1) * model.noise.weight(time)[0, 0] * model.noise.mask_rate(time)[0, 0]
            )
            curve[f"nats_at_{percent}"] = Estimate.ratio(
                torch.cat(totals).double().tolist(), hidden.tolist()
            )
        return curve
