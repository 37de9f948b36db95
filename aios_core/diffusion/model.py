"""The model: a head and a backbone, with the noise they are trained under."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from aios_core.diffusion.caching import CachingDenoiser
from aios_core.diffusion.denoiser import ModelDenoiser

if TYPE_CHECKING:
    from aios_core.config.schema import Config
    from aios_core.contracts import (
        Backbone,
        Condition,
        Corruption,
        NoiseScheduler,
        ProjectionHead,
        Vocabulary,
    )
    from aios_core.diffusion.caching import Caching


class Model(nn.Module):
    """Tokens to logits: ``head.decode(backbone(head.encode(x), t, condition))``.

    One class for the masked denoiser and for its autoregressive twin, which differ in the mask of
    the attention and in nothing else.

    Attributes:
        head: module of the projection head.
        backbone: module of the backbone.
        vocabulary: sizes and special ids.
        noise: schedule that it is trained under.
        corruption: forward process that it is trained under.
        mode: ``"diffusion"`` or ``"ar"``.
        length: tokens of a training sequence.
        time_conditioned: whether logits depend on t.
    """

    def __init__(
        self,
        head: ProjectionHead,
        backbone: Backbone,
        noise: NoiseScheduler,
        vocabulary: Vocabulary,
        *,
        mode: Literal["diffusion", "ar"] = "diffusion",
        length: int = 128,
    ) -> None:
        super().__init__()
        # Typed as Any, for nn.Module has no `encode`; `HeadModule` says what is promised.
        self.head: Any = head.build(backbone.dim, vocabulary)
        self.backbone = backbone.build(causal=mode == "ar")
        self.noise = noise
        self.corruption: Corruption = head.corruption(vocabulary)
        self.vocabulary = vocabulary
        self.mode = mode
        self.length = length
        self.time_conditioned = backbone.time_conditioned and mode == "diffusion"

    @classmethod
    def build(cls, config: Config, vocabulary: Vocabulary) -> Model:
        """A freshly initialised model; its weights follow from ``config.seed`` alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            return cls(
                config.head,
                config.backbone,
                config.noise,
                vocabulary,
                mode=config.mode,
                length=config.diffusion.length,
            )

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    def forward(
        self, x: Tensor, t: Tensor | None = None, condition: Condition | None = None
    ) -> Tensor:
        """Logits.

        Args:
            x: (B, L) int64 tokens.
            t: (B,) float64 times in [0, 1]; None for an autoregressive model.
            condition: what else the network may attend to.

        Returns:
            (B, L, V) logits; for the twin, those at i are of the token after i.
        """
        logits: Tensor = self.head.decode(self.backbone(self.head.encode(x), t, condition))
        return logits

    def denoiser(
        self,
        condition: Condition | None = None,
        dtype: torch.dtype | None = None,
        cache: Caching = "none",
    ) -> ModelDenoiser:
        """The model as samplers see it, in evaluation mode from now on.

        Args:
            condition: passed to the network at every call.
            dtype: of the log-probabilities; unset: float32, or float64 where the network's states
                are. Whatever it is, tokens are drawn in float64.
            cache: what is not read again while a block is filled in, at the price of exactness.

        Raises:
            InferenceError: a cache is wanted, and the backbone has none.
        """
        self.eval()
        if cache != "none":
            return CachingDenoiser(self, condition, dtype, cache)
        return ModelDenoiser(self, condition, dtype)
