"""Block diffusion: networks that see whole blocks before, and noise only within their own.

A text is written block by block, each by diffusion given those before it (BD3-LM,
arXiv 2503.09573). Blocks of one token are autoregression, one block is plain diffusion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from attrs import evolve
from torch.nn import functional as F  # noqa: N812 - torch's own custom

from aios_core.contracts import Condition
from aios_core.diffusion.denoiser import ModelDenoiser
from aios_core.diffusion.rounding import seen, tile, up, widened

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import Cache, Network


def two_streams(model: Network, z: Tensor, x0: Tensor, t: Tensor, condition: Condition) -> Tensor:
    """The network's states of noisy blocks, each behind the clean text before it.

    Both texts are read at once, side by side: a noisy position sees its own noisy block and the
    clean blocks before it, a clean one the clean blocks up to its own. Rows that share a sequence
    begin with a block each.

    Args:
        model: its ``block_size`` divides L.
        z: (B, L) int64 noisy tokens.
        x0: (B, L) int64 clean tokens.
        t: (B, N) float64 time of each block.
        condition: what may be seen of one text.

    Returns:
        (B, L, D).
    """
    length, valid, apart = z.shape[1], condition.valid, condition.mask
    position = torch.arange(length, device=z.device)
    block = position // model.block_size
    same, before = block[:, None] == block, block[:, None] > block
    upto = same | before
    if apart is not None:
        same, before, upto = (seen & apart for seen in (same, before, upto))
    noisy, clean = torch.cat((same, before), -1), torch.cat((same & ~same, upto), -1)
    places = position[None, :, None] if condition.positions is None else condition.positions
    times = t.repeat_interleave(length // t.shape[1], 1)
    both = Condition(
        valid=None if valid is None else torch.cat((valid, valid), 1),
        mask=torch.cat((noisy, clean), -2),
        positions=torch.cat((places, places), 1),
    )
    times = torch.cat((times, torch.zeros_like(times)), 1)
    return model.states(torch.cat((z, x0), 1), times, both)[:, :length]


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
            return self._block(x, t, start, stop)
        times = torch.cat((t.new_zeros(len(x), start), t[:, None].expand(-1, stop - start)), 1)
        return self._run(x, times, (0, stop, self._end(start, stop)), None)[:, start:stop]

    def _remember(self, x: Tensor, start: int) -> None:
        """Have the cache hold what stands before a block, and nothing else."""
        size = self.model.block_size
        if self._cache is None or self._cache.capacity < x.shape[1]:
            module: Any = self.model.backbone
            last = self._end((x.shape[1] - 1) // size * size, x.shape[1])
            self._cache, self._read = module.new_cache(last), x[:, :0]
        assert self._read is not None
        known = min(self._read.shape[1], start)
        if not torch.equal(self._read[:, :known], x[:, :known]):
            known = 0
        self._cache.length = known
        if known < start and tile(x.device) == 1:
            times = torch.zeros(len(x), start).to(x.device).double()
            self._run(x, times, (known, start, start), self._cache)
        elif known < start:
            # A block at a time, as it is when it was written: the batch mates of a row decide
            # which of its blocks are read at once, and the numbers should be the same.
            never = torch.zeros(len(x), dtype=torch.float64)
            for begin in range(known, start, size):
                self._cache.length = begin
                self._block(x, never, begin, begin + size)
        self._cache.length, self._read = start, x[:, :start]

    def _block(self, x: Tensor, t: Tensor, start: int, stop: int) -> Tensor:
        """States of a block at times t (B,), behind what the cache holds."""
        end = self._end(start, stop)
        times = t.new_zeros(len(x), end) + t[:, None]
        return self._run(x, times, (start, stop, end), self._cache)[:, : stop - start]

    def _end(self, start: int, stop: int) -> int:
        """Where to read until, so that it follows from where the block of a part begins."""
        if (multiple := tile(self.model.device)) == 1:
            return stop
        size = self.model.block_size
        first = start // size * size if self.cached else 0
        return first + up(max(stop, start // size * size + size) - first, multiple)

    def _run(
        self, x: Tensor, times: Tensor, span: tuple[int, int, int], cache: Cache | None
    ) -> Tensor:
        """States of positions that see all blocks up to their own.

        Args:
            x: (B, L) int64.
            times: (B, n) float64, of positions until ``stop`` at least.
            span: where they start, where the text stops, and where the input ends, behind it.
            cache: holds what is before them.
        """
        start, stop, end = span
        condition = self.condition or Condition()
        valid = seen(condition.valid, x, stop, end)
        size = self.model.block_size
        in_block = start // size == (stop - 1) // size  # which sees everything; no mask is faster
        mask = None if in_block else sight(self.model, end, x.device)[start:]
        inside = evolve(condition, valid=valid, cache=cache, mask=mask)
        tokens = widened(x, end, self.model.vocabulary.pad_id)[:, start:]
        times = F.pad(times, (0, end - times.shape[1]))[:, start:]
        h: Tensor = self.model.states(tokens, times, inside)
        if cache is not None:
            cache.length = start
        return h
