"""The bound of a diffusion model's likelihood."""

from __future__ import annotations

from typing import ClassVar

import torch
from attrs import frozen

from aios_core.contracts import Estimate, Evidence, Metric
from aios_core.diffusion.objective import nelbo
from aios_core.diffusion.times import draw_times


@frozen
class Nelbo(Metric):
    """Upper bound of the negative log-likelihood of held-out texts, by the continuous-time NELBO.

    Whatever was minimised, and under whatever corruption: the expectation over times in
    [time_epsilon, 1] of its integrand (for masks MDLM's equation 10, arXiv 2406.07524), so too low
    by about that fraction, and never over the part of them alone that training may draw from.
    ``evaluation.draws`` noisy states a sequence, their times stratified over a batch. Standard
    errors are over sequences and include that noise.
    """

    of: ClassVar = "model"
    better: ClassVar = {"nelbo": "lower", "nelbo_bpb": "lower"}
    units: ClassVar = {"nelbo": "nats/token", "nelbo_bpb": "bits/byte"}

    @torch.no_grad()
    def measure(self, evidence: Evidence) -> dict[str, Estimate]:
        """``nelbo`` and ``nelbo_bpb``; nothing of an autoregressive model.

        No ``nelbo_bpb`` where the tokens do not decode to the texts.
        """
        model, config = evidence.model, evidence.config
        if model.mode != "diffusion":
            return {}
        size, draws = config.evaluation.batch_size, config.evaluation.draws
        generator = torch.Generator().manual_seed(config.seed)
        ids, valid = evidence.held_out.windows(config.diffusion.length)
        totals = []
        for start in range(0, len(ids), size):
            x0, kept = (rows[start : start + size].to(model.device) for rows in (ids, valid))
            shape = len(x0) * draws, config.diffusion.length // model.block_size
            kind, epsilon = config.diffusion.times, config.diffusion.time_epsilon
            times = draw_times(shape[0] * shape[1], generator, kind, epsilon).view(shape)
            bounds = [nelbo(model, x0, kept, part, generator) for part in times.split(len(x0))]
            totals.append(torch.stack(bounds).double().mean(0).cpu())
        tokens = Estimate.ratio(torch.cat(totals).tolist(), valid.sum(-1).tolist())
        bits = evidence.bits_per_byte(tokens)
        return {"nelbo": tokens} if bits is None else {"nelbo": tokens, "nelbo_bpb": bits}
