"""Block diffusion: networks that see whole blocks before, and noise only within their own.

A text is written block by block, each by diffusion given those before it (BD3-LM,
arXiv 2503.09573). Blocks of one token are autoregression, one block is plain diffusion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from attrs import evolve

from aios_core.contracts import Condition
from aios_core.diffusion.denoiser import ModelDenoiser

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import Cache, Network


def two_streams(model: Network, z: Tensor, x0: Tensor, t: Tensor, valid: Tensor | None) -> Tensor:
    """The network's states of noisy blocks, each behind the clean text before it.

    Both texts are read at once, side by side: a noisy position sees its own noisy block and the
    clean blocks before it, a clean one the clean blocks up to its own.

    Args:
        model: its ``block_size`` divides L.
        z: (B, L) int64 noisy tokens.
        x0: (B, L) int64 clean tokens.
        t: (B, N) float64 time of each block.
        valid: (B, L) bool, or None where all are.

    Returns:
        (B, L, D).
    """
    length = z.shape[1]
    position = torch.arange(length, device=z.device)
    block = position // model.block_size
    same, before = block[:, None] == block, block[:, None] > block
    mask = torch.cat((torch.cat((same, before), 1), torch.cat((~same & ~same, same | before), 1)))
    times = t.repeat_interleave(length // t.shape[1], 1)
    condition = Condition(
        valid=None if valid is None else torch.cat((valid, valid), 1),
        mask=mask,
        positions=torch.cat((position, position))[None, :, None],
    )
    times = torch.cat((times, torch.zeros_like(times)), 1)
    return model.states(torch.cat((z, x0), 1), times, condition)[:, :length]


def sight(model: Network, length: int, device: torch.device) -> Tensor:
    """(L, L) bool: which positions each one of a single text may see, all blocks up to its own."""
    block = torch.arange(length, device=device) // model.block_size
    return block[:, None] >= block


class BlockDenoiser(ModelDenoiser):
    """A block-causal `Model` as samplers see it, asked for one block after the other.

    What stands before a block is read once and remembered, which is exact: it never looks ahead. A
    backbone without a cache reads it again each time.

    Args:
        model: has a ``block_size``.
        condition: as for a `ModelDenoiser`.
        dtype: likewise.
        cached: False reads everything again each time.
    """

    def __init__(
        self,
        model: Network,
        condition: Condition | None,
        dtype: torch.dtype | None,
        *,
        cached: bool = True,
    ) -> None:
        super().__init__(model, condition, dtype)
        self.cached = cached and hasattr(model.backbone, "new_cache")
        self._cache: Cache | None = None
        self._read: Tensor | None = None

    def states(self, x: Tensor, t: Tensor, start: int, stop: int) -> Tensor:
        """(B, stop - start, D) the network's states at some positions, which are a block."""
        size = self.model.block_size
        if self.cached and start % size == 0 and stop - start <= size:
            self._remember(x, start)
            return self._run(x, t.new_zeros(len(x), stop) + t[:, None], start, stop, self._cache)
        times = torch.cat((t.new_zeros(len(x), start), t[:, None].expand(-1, stop - start)), 1)
        return self._run(x, times, 0, stop, None)[:, start:stop]

    def _remember(self, x: Tensor, start: int) -> None:
        """Have the cache hold what stands before a block, and nothing else."""
        if self._cache is None or self._cache.capacity < x.shape[1]:
            module: Any = self.model.backbone
            self._cache, self._read = module.new_cache(x.shape[1]), x[:, :0]
        assert self._read is not None
        known = min(self._read.shape[1], start)
        if not torch.equal(self._read[:, :known], x[:, :known]):
            known = 0
        self._cache.length = known
        if known < start:
            self._run(
                x, torch.zeros(len(x), start).to(x.device).double(), known, start, self._cache
            )
        self._cache.length, self._read = start, x[:, :start]

    def _run(self, x: Tensor, times: Tensor, start: int, stop: int, cache: Cache | None) -> Tensor:
        """States of positions that see all blocks up to their own."""
        condition, valid = self.condition or Condition(), None
        if condition.valid is not None:
            valid = condition.valid[:, :stop]
        size = self.model.block_size
        in_block = start // size == (stop - 1) // size  # which sees everything; no mask is faster
        mask = None if in_block else sight(self.model, stop, x.device)[start:]
        inside = evolve(condition, valid=valid, cache=cache, mask=mask)
        h: Tensor = self.model.states(x[:, start:stop], times[:, start:], inside)
        if cache is not None:
            cache.length = start
        return h
