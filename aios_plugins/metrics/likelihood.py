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

    Each row, or window of a long one, is predicted on its own, as a diffusion model sees it: of a
    row that gives a part, what is to be learned given that, and where it ends.
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
        sequences = evidence.held_out.sequences()
        totals = [
            nll(model, sequences[start : start + size]).double().cpu()
            for start in range(0, len(sequences), size)
        ]
        tokens = Estimate.ratio(torch.cat(totals).tolist(), sequences.sizes.tolist())
        bits = evidence.bits_per_byte(tokens)
        return {"nll": tokens} if bits is None else {"nll": tokens, "nll_bpb": bits}
