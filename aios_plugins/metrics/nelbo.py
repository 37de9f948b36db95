"""The bound of a diffusion model's likelihood."""

from __future__ import annotations

from typing import ClassVar

import torch
from attrs import frozen

from aios_core.contracts import Estimate, Evidence, Metric
from aios_core.diffusion.objective import nelbo
from aios_core.diffusion.random import RowRandom
from aios_core.diffusion.times import draw_times


@frozen
class Nelbo(Metric):
    """Upper bound of the negative log-likelihood of held-out texts, by the continuous-time NELBO.

    Of what is to be learned in a row given the rest of it, as of answers given their prompts, and
    of where it ends. Whatever was minimised, and under whatever corruption: the expectation over
    times in [time_epsilon, 1] of its integrand (for masks MDLM's equation 10, arXiv 2406.07524), so
    too low by about that fraction, and never over the part of them alone that training may draw
    from.
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
        sequences, length = evidence.held_out.sequences(), config.diffusion.length
        totals = []
        for start in range(0, len(sequences), size):
            part = sequences[start : start + size]
            rows = range(start, start + len(part))
            shape = len(part) * draws, length // model.block_size
            kind, epsilon = config.diffusion.times, config.diffusion.time_epsilon
            times = draw_times(shape[0] * shape[1], generator, kind, epsilon).view(shape)
            random = RowRandom.numbered(config.seed, rows, length)
            bounds = [nelbo(model, part, each, random) for each in times.split(len(part))]
            totals.append(torch.stack(bounds).double().mean(0).cpu())
        tokens = Estimate.ratio(torch.cat(totals).tolist(), sequences.sizes.tolist())
        bits = evidence.bits_per_byte(tokens)
        return {"nelbo": tokens} if bits is None else {"nelbo": tokens, "nelbo_bpb": bits}
