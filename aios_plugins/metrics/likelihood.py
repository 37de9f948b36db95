"""The likelihood of an autoregressive model."""

from __future__ import annotations

from typing import ClassVar

import torch
from attrs import frozen

from aios_core.contracts import Estimate, Evidence, Metric
from aios_core.diffusion.objective import nll


@frozen
class Likelihood(Metric):
    """Exact negative log-likelihood of held-out texts under an autoregressive model.

    Each window is predicted on its own, from its first token on, as a diffusion model sees it.
    """

    of: ClassVar = "model"
    better: ClassVar = {"nll": "lower", "nll_bpb": "lower"}
    units: ClassVar = {"nll": "nats/token", "nll_bpb": "bits/byte"}

    @torch.no_grad()
    def measure(self, evidence: Evidence) -> dict[str, Estimate]:
        """``nll`` and ``nll_bpb``, standard errors over windows; nothing of a diffusion model.

        No ``nll_bpb`` where the tokens do not decode to the texts.
        """
        model, config = evidence.model, evidence.config
        if model.mode != "ar":
            return {}
        size = config.evaluation.batch_size
        ids, valid = evidence.held_out.windows(config.diffusion.length)
        totals = [
            nll(model, x0.to(model.device), kept.to(model.device)).double().cpu()
            for x0, kept in zip(ids.split(size), valid.split(size), strict=True)
        ]
        tokens = Estimate.ratio(torch.cat(totals).tolist(), valid.sum(-1).tolist())
        bits = evidence.bits_per_byte(tokens)
        return {"nll": tokens} if bits is None else {"nll": tokens, "nll_bpb": bits}
