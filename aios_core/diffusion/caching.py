"""The approximate key-value caches of bidirectional networks, for sampling block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from aios_core.contracts import Condition
from aios_core.diffusion.denoiser import ModelDenoiser, narrowed
from aios_core.errors import InferenceError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from aios_core.contracts import Cache, Caching, Network


class CachingDenoiser(ModelDenoiser):
    """A `Model` that reads the text once a block, and from then on only where it changes.

    In a bidirectional network every position's keys and values depend on all tokens, so those of a
    cache are out of date as soon as the block has changed: the answers are an approximation, except
    for the first in each block. The smaller the blocks the less they are off, and the more often
    all is read.

    Args:
        model: its backbone offers ``new_cache``.
        condition: as for a `ModelDenoiser`.
        dtype: likewise.
        caching: ``"prefix"`` or ``"dual"``.

    Raises:
        InferenceError: the backbone has no cache.
    """

    def __init__(
        self,
        model: Network,
        condition: Condition | None,
        dtype: torch.dtype | None,
        caching: Caching,
    ) -> None:
        super().__init__(model, condition, dtype)
        if not hasattr(model.backbone, "new_cache"):
            raise InferenceError(
                f"cache {caching!r}: {type(model.backbone).__name__} has no key-value cache; "
                "expected 'none', or another backbone"
            )
        self.caching = caching
        self._block: tuple[int, int] | None = None
        self._cache: Cache | None = None

    def states(self, x: Tensor, t: Tensor, start: int, stop: int) -> Tensor:
        """(B, stop - start, D) the network's states at some positions."""
        length = x.shape[1]
        if self._cache is None or self._cache.capacity != length:
            module: Any = self.model.backbone
            self._cache, self._block = module.new_cache(length), None
        begin, end = 0, length
        if self._block == (start, stop):
            begin, end = start, stop if self.caching == "dual" else length
        self._block = start, stop
        self._cache.length, self._cache.behind = begin, length - end
        kept = slice(start - begin, stop - begin)
        condition = evolve(self.condition or Condition(), cache=self._cache, part=kept)
        return narrowed(self.model.states(x[:, begin:end], t, condition), kept)
