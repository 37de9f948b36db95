"""The denoiser: a network's logits as the distribution of the clean tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from attrs import evolve
from torch.nn import functional as F  # noqa: N812 - torch's own custom

from aios_core.component import blamed
from aios_core.contracts import Condition
from aios_core.diffusion.chunking import chunks, entries_on
from aios_core.diffusion.random import indices
from aios_core.diffusion.rounding import filled, repeated, seen, tile, up, widened
from aios_core.tensor_cache import count, masks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from aios_core.contracts import Network


def substitute(logits: Tensor, x: Tensor, mask_id: int, dtype: torch.dtype) -> Tensor:
    """Log-probabilities of the clean tokens: SUBS of MDLM (arXiv 2406.07524, section 3.2.3).

    A clean text holds no mask, so the mask has probability zero; what is not masked is clean
    already, so it keeps its token with probability one.

    Args:
        logits: (B, L, V) of any floating type; overwritten.
        x: (B, L) int64 the state they were computed from.
        mask_id: token id of the mask.
        dtype: of the answer and of the normalisation, float32 or float64.

    Returns:
        (B, L, V) normalised log-probabilities.
    """
    logits[..., mask_id] = -torch.inf
    log_probs = F.log_softmax(logits, dim=-1, dtype=dtype)  # upcasts first: bfloat16 would round
    clean = x != mask_id
    log_probs.masked_fill_(clean[..., None], -torch.inf)
    certain = torch.zeros_like(x, dtype=dtype).masked_fill_(~clean, -torch.inf)
    return log_probs.scatter_(-1, x[..., None], certain[..., None])


def narrowed(h: Tensor, part: slice) -> Tensor:
    """The states (B, stop - start, D) of a part, given those of it or of all positions."""
    return h if h.shape[1] == part.stop - part.start else h[:, part]


def one_hot(x: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    """Log-probabilities (B, L, V) that are sure of the tokens x (B, L)."""
    out = torch.full((*x.shape, size), -torch.inf, dtype=dtype, device=x.device)
    return out.scatter_(-1, x[..., None], 0.0)


class ModelDenoiser:
    """A `Model` as samplers see it; made by `Model.denoiser`.

    The network's states become logits a chunk at a time and only at masked positions, so the answer
    is the one tensor of its size. A row's answer is the same whatever its batch mates, bit for bit
    on the CPU, as long as they are as wide as it is (`rounding`, and `ByWidth` for others).

    Attributes:
        nfe: calls so far.
        time_conditioned: whether the answer depends on t.
    """

    def __init__(
        self, model: Network, condition: Condition | None, dtype: torch.dtype | None
    ) -> None:
        self.model, self.condition, self.dtype = model, condition, dtype
        self.time_conditioned = model.time_conditioned
        self.nfe = 0
        self._wide: tuple[torch.Size, Condition] | None = None

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """Log-probabilities (B, L, V) of the clean tokens, given x (B, L) at times t (B,)."""
        return self.part(x, t, 0, x.shape[1])

    def part(self, x: Tensor, t: Tensor, start: int, stop: int) -> Tensor:
        """Likewise of some positions, (B, stop - start, V), given all of x."""
        self.nfe += 1
        made = self.model.made
        with blamed(made[1][1], "its module", within=made):
            h = self.states(x, t, start, stop)
            return self._decode(h, x if h.shape[1] == x.shape[1] else x[:, start:stop])

    def states(self, x: Tensor, t: Tensor, start: int, stop: int) -> Tensor:
        """(B, stop - start, D) the network's states at some positions."""
        condition, multiple = self.condition, tile(x.device)
        width = up(x.shape[1], multiple)
        if width > x.shape[1]:
            condition = self._shown(x, width)
            x = widened(x, width, self.model.vocabulary.pad_id)
        begin, end = start // multiple * multiple, up(stop, multiple)
        if begin == 0 and end == width:
            return self.model.states(x, t, condition)[:, start:stop]
        kept = slice(begin, end)
        asked = evolve(condition or Condition(), part=kept)
        h = narrowed(self.model.states(x, t, asked), kept)
        return h[:, start - begin : stop - begin]

    def _shown(self, x: Tensor, width: int) -> Condition:
        """The condition of rows (B, L) that are widened, the same one for as long as L is."""
        if self._wide is None or self._wide[0] != x.shape:
            condition = self.condition or Condition()
            valid = seen(condition.valid, x, x.shape[1], width)
            self._wide = x.shape, evolve(condition, valid=valid)
        return self._wide[1]

    def _decode(self, h: Tensor, x: Tensor) -> Tensor:
        """What `substitute` makes of the logits of states h (B, L, D)."""
        vocabulary = self.model.vocabulary
        dtype = self.dtype or torch.promote_types(h.dtype, torch.float32)
        h, size, multiple = h.flatten(0, 1), vocabulary.size, tile(h.device)
        entries, number = entries_on(h.device), len(h)
        is_masked = masks(x, vocabulary.mask_id)
        # Other noise looks as clean as any token.
        if not self.model.process.absorbing or count(is_masked) == number:
            h = filled(h, multiple)
            out = h.new_empty(len(h), size, dtype=dtype)
            for chunk in chunks(len(h), size, entries, multiple):
                self._log_probs(h[chunk], dtype, out=out[chunk])
            return out[:number].view(*x.shape, -1)
        out = one_hot(x, size, dtype)  # what is masked is overwritten
        if count(is_masked):
            flat, masked = out.flatten(0, 1), repeated(indices(is_masked), multiple)
            # Half as large, for there are two at once: logits, and what becomes of them.
            for chunk in chunks(len(masked), size, entries // 2, multiple):
                flat.index_copy_(0, masked[chunk], self._log_probs(h[masked[chunk]], dtype))
        return out

    def _log_probs(self, h: Tensor, dtype: torch.dtype, out: Tensor | None = None) -> Tensor:
        """Log-probabilities (N, V) of the tokens by states (N, D)."""
        logits = self.model.decode(h[None])[0]
        logits[:, self.model.vocabulary.mask_id].fill_(-torch.inf)
        return torch.log_softmax(logits, -1, dtype=dtype, out=out)


class ByWidth:
    """A `Model` as samplers see it, for rows of several widths: each width is read by itself.

    So a row is read as it would be alone. Behind its own end nothing is asked of the network.

    Args:
        parts: a denoiser of each width, with the numbers (n,) int64 of its rows.
        size: V.

    Attributes:
        nfe: calls so far, each for all rows.
        time_conditioned: whether the answer depends on t.
    """

    def __init__(self, parts: Mapping[int, tuple[Tensor, ModelDenoiser]], size: int) -> None:
        self.parts, self.size, self.nfe = dict(parts), size, 0
        self.time_conditioned = any(part.time_conditioned for _, part in self.parts.values())

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """As for a `ModelDenoiser`."""
        return self.part(x, t, 0, x.shape[1])

    def part(self, x: Tensor, t: Tensor, start: int, stop: int) -> Tensor:
        """Likewise."""
        self.nfe += 1
        out: Tensor | None = None
        for rows, read, end, denoiser in self._read(x, stop):
            if start < end:
                answer = denoiser.part(read, t[rows], start, end)
                if out is None:
                    out = one_hot(x[:, start:stop], self.size, answer.dtype)
                out[rows, : end - start] = answer
        return one_hot(x[:, start:stop], self.size, torch.float32) if out is None else out

    def states(self, x: Tensor, t: Tensor, start: int, stop: int) -> Tensor:
        """Likewise; zeros behind the end of a row."""
        out: Tensor | None = None
        for rows, read, end, denoiser in self._read(x, stop):
            if start < end:
                h = denoiser.states(read, t[rows], start, end)
                if out is None:
                    out = h.new_zeros(len(x), stop - start, h.shape[-1])
                out[rows, : end - start] = h
        assert out is not None, f"no row reaches position {start}"
        return out

    def _read(self, x: Tensor, stop: int) -> Iterator[tuple[Tensor, Tensor, int, ModelDenoiser]]:
        """Rows of a width, what they hold, until where they are asked for, and by whom."""
        for width, (rows, denoiser) in self.parts.items():
            yield rows, x[rows, :width], min(stop, width), denoiser
