"""The variety of words in a sample."""

from __future__ import annotations

from typing import ClassVar

import torch
from attrs import frozen

from aios_core.contracts import Estimate, Evidence, Metric


@frozen
class Entropy(Metric):
    """Entropy of the token counts of each sample, the mean over samples.

    It tells repetition, which a likelihood rewards, from quality: samplers of low precision or low
    temperature have less of it than real text (arXiv 2409.02908). It grows with the length of the
    samples, so compare equal lengths only.
    """

    of: ClassVar = "samples"
    better: ClassVar = {"entropy": "nearer"}
    units: ClassVar = {"entropy": "nats/token"}

    def measure(self, evidence: Evidence) -> dict[str, Estimate]:
        """``entropy``, standard error over samples."""
        assert evidence.samples is not None
        entropies = []
        sampled = evidence.samples.sequences
        for ids, targets in zip(sampled.ids, sampled.targets, strict=True):
            share = ids[targets].unique(return_counts=True)[1].double() / int(targets.sum())
            entropies.append(float(torch.special.entr(share).sum()))
        return {"entropy": Estimate.ratio(entropies, [1.0] * len(entropies))}
