"""What the autoregressive twin thinks of samples."""

from __future__ import annotations

from typing import ClassVar

import torch
from attrs import frozen

from aios_core.contracts import Estimate, Evidence, Metric
from aios_core.diffusion.objective import nll


@frozen
class Twin(Metric):
    """Negative log-likelihood of samples under the twin: what others call generative perplexity.

    Repetition scores lower, hence "better", than real text: so nearer to held-out text is better
    here, and entropy belongs beside it.
    """

    of: ClassVar = "samples"
    better: ClassVar = {"twin_nll": "nearer"}
    units: ClassVar = {"twin_nll": "nats/token"}

    @torch.no_grad()
    def measure(self, evidence: Evidence) -> dict[str, Estimate]:
        """``twin_nll``, standard error over samples; nothing where there is no twin."""
        assert evidence.samples is not None
        if evidence.twin is None:
            return {}
        sampled, size = evidence.samples.sequences, evidence.config.evaluation.batch_size
        totals = [
            nll(evidence.twin, sampled[start : start + size]).double().cpu()
            for start in range(0, len(sampled), size)
        ]
        tokens = sampled.sizes.tolist()
        return {"twin_nll": Estimate.ratio(torch.cat(totals).tolist(), tokens)}
