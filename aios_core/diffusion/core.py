"""DiffusionCore: the loop around a sampler, from a partly masked text to a whole one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from attrs import evolve, frozen
from torch import Tensor

from aios_core.contracts import (
    Condition,
    Controls,
    Curve,
    Denoiser,
    NoiseScheduler,
    Sampler,
    SamplingContext,
    Spacing,
    Vocabulary,
)
from aios_core.diffusion.blocks import Blocks
from aios_core.diffusion.entropies import entropies_at
from aios_core.diffusion.logits import LogitsProcessor
from aios_core.diffusion.model import Model
from aios_core.diffusion.random import RowRandom
from aios_core.diffusion.watching import Watched
from aios_core.errors import InferenceError
from aios_core.tensor_cache import count, differences, masks

if TYPE_CHECKING:
    from aios_core.contracts import Caching, TokenProcess

GIVEN = 0
"""`State.committed_at` of what the caller gave."""
MASKED = -1
"""`State.committed_at` of a position that holds a mask."""


@frozen
class State:
    """Where sampling stands after a step; every tensor on the device of the input."""

    step: int
    """From 1 on; 0 is the input."""
    nfe: int
    """Calls of the denoiser so far, each for the whole batch."""
    ids: Tensor
    """(B, L) int64."""
    committed: Tensor
    """(B, L) bool: positions that got their token in this step."""
    confidence: Tensor
    """(B, L) float64: probability of each token, before any temperature, in the prediction it was
    drawn from; 1 for what was given, 0 for masks."""
    committed_at: Tensor
    """(B, L) int64: step at which each token came, `GIVEN` or `MASKED`; until the first step any
    noise counts as a mask."""
    entropy: Tensor
    """(B, L) float64 nats: of the prediction that each token was drawn from; 0 for what was given
    and for masks."""


@frozen
class Generation:
    """What sampling made; the fields are those of the last `State`."""

    ids: Tensor
    """(B, L) int64, without masks."""
    nfe: int
    """Calls of the denoiser, each for the whole batch."""
    confidence: Tensor
    """(B, L) float64."""
    committed_at: Tensor
    """(B, L) int64."""


class DiffusionCore:
    """Samples from a model with a sampler.

    Args:
        model: a diffusion `Model`, or any `Denoiser` (a wrapped one, an `Oracle`, ...).
        sampler: which sampler, with its settings.
        noise: schedule that the model was trained under.
        mask_id: token id of the mask.
        temperature: divides log-probabilities before a token is drawn; 0 takes the likeliest.
        spacing: of the sampler's time grid.
        controls: what may be drawn besides.
        block_size: fill in blocks of so many positions one after the other; unset: all at once.
        cache: within a block, do not read again what stands outside it: an approximation.
        process: corruption that the model was trained under; unset: that of the `Model`, and of
            any other denoiser masks.

    Raises:
        InferenceError: an argument is out of its range, or the sampler does not serve the process.
    """

    def __init__(
        self,
        model: Model | Denoiser,
        sampler: Sampler,
        noise: NoiseScheduler,
        mask_id: int,
        *,
        temperature: float = 1.0,
        spacing: Spacing | Curve = "uniform",
        controls: Controls = Controls(),  # noqa: B008 - frozen
        block_size: int | None = None,
        cache: Caching = "none",
        process: TokenProcess | None = None,
    ) -> None:
        if isinstance(model, Model) and model.mode != "diffusion":
            raise InferenceError(
                "an autoregressive model has no denoiser; expected a diffusion model"
            )
        if not temperature >= 0:
            raise InferenceError(f"temperature is {temperature}; expected 0 or more")
        if isinstance(model, Model):
            block_size = model.sampled_in(block_size)
        if block_size is not None:
            if block_size < 1:
                raise InferenceError(f"block_size is {block_size}; expected 1 or more")
            sampler = Blocks(sampler, block_size)
        if process is None and isinstance(model, Model):
            process = model.process
        if Vocabulary not in sampler.spaces:
            raise InferenceError(
                f"{type(sampler).__name__} is for numbers; expected a sampler of tokens"
            )
        if process is not None and not process.absorbing and sampler.absorbing_only:
            raise InferenceError(
                f"{type(sampler).__name__} works with masks alone, and the model was trained under "
                f"{type(process.corruption).__name__} noise; expected a sampler that serves every "
                "corruption"
            )
        self.process = process
        if cache != "none" and (block_size is None or not isinstance(model, Model)):
            raise InferenceError(
                f"cache {cache!r} serves a network that is sampled block by block; expected a "
                "block_size, and a model without guidance or constraints"
            )
        self.cache: Caching = cache
        self.model, self.sampler, self.noise, self.mask_id = model, sampler, noise, mask_id
        self.temperature, self.spacing, self.controls = temperature, spacing, controls

    def sample(
        self,
        x: Tensor,
        fixed: Tensor | None = None,
        *,
        seeds: Sequence[int],
        lengths: Sequence[int] | None = None,
        callback: Callable[[State], object] | None = None,
        scored: bool = True,
    ) -> Generation:
        """Fill in the masks of x.

        Args:
            x: (B, L) int64, the mask id where text is wanted.
            fixed: (B, L) bool, what must not change; unset: all that is not masked.
            seeds: one for each row; a row's text depends on its own seed and on no other row.
            lengths: tokens of each row, the rest being padding on the right, which stays as it is
                and which no token sees; unset: all rows are whole.
            callback: called with each state, the input first.
            scored: tell the confidence and entropy of tokens; unset: they are no numbers, and a
                graphics card is asked for a third less besides the network.

        Raises:
            InferenceError: the input is empty, contradicts itself, or the network answers NaN.
            PluginError: the sampler, or a part of the network, breaks its contract.
        """
        for state in self.stream(x, fixed, seeds=seeds, lengths=lengths, scored=scored):
            if callback is not None:
                callback(state)
        return Generation(state.ids, state.nfe, state.confidence, state.committed_at)

    @torch.no_grad()
    def stream(
        self,
        x: Tensor,
        fixed: Tensor | None = None,
        *,
        seeds: Sequence[int],
        lengths: Sequence[int] | None = None,
        draws: Callable[[RowRandom], RowRandom] | None = None,
        scored: bool = True,
    ) -> Iterator[State]:
        """Like `sample`, yielding the input and then the state after each step.

        Args:
            x: as for `sample`, like all the others but ``draws``.
            fixed: see there.
            seeds: see there.
            lengths: see there.
            draws: changes how tokens are drawn; hard constraints draw those of a row together.
            scored: see there.
        """
        fixed, valid = self._check(x, fixed, seeds, lengths)
        process = LogitsProcessor(self.controls, self.mask_id) if self.controls.active else None
        random = RowRandom(seeds, x.shape[1], x.device, process)
        context = SamplingContext(
            noise=self.noise,
            mask_id=self.mask_id,
            fixed=fixed,
            random=random if draws is None else draws(random),
            temperature=self.temperature,
            spacing=self.spacing,
            process=self.process,
        )
        inner = self.model
        if isinstance(inner, Model):
            inner = inner.denoiser(None if lengths is None else Condition(valid), cache=self.cache)

        def observe(x: Tensor) -> None:
            if process is not None:  # padding must not count as a token that is there already
                process.observe(torch.where(valid, x, self.mask_id))

        context = evolve(context, time_conditioned=inner.time_conditioned)
        denoiser = Watched(inner, observe, context.random, self.sampler, fixed)
        masked = x == self.mask_id
        if self.process is not None and not self.process.absorbing:
            x = torch.where(masked, self.process.prior(context.uniform()), x)
        unknown = torch.full(x.shape, torch.nan, dtype=torch.float64, device=x.device)
        state = State(
            step=0,
            nfe=0,
            ids=x,
            committed=torch.zeros_like(fixed),
            confidence=(~masked).double() if scored else unknown,
            committed_at=torch.where(masked, MASKED, GIVEN),
            entropy=torch.zeros_like(unknown) if scored else unknown,
        )
        yield state
        # Under other noise than masks, what may change is drawn anew in every step.
        redrawn = None if context.absorbing else context.free
        first = x
        for new in denoiser.states(first, context, self.sampler):
            state = self._advance(state, new, denoiser, redrawn, scored=scored)
            yield state
        left = context.masked(state.ids)
        if left.any():  # a sampler need not be tidy: one draw for all that it left
            log_probs = denoiser(state.ids, torch.zeros(len(x), dtype=torch.float64).to(x.device))
            new = torch.where(left, context.categorical(log_probs, left), state.ids)
            yield self._advance(state, new, denoiser, None, scored=scored)

    def _advance(
        self,
        state: State,
        ids: Tensor,
        denoiser: Watched,
        redrawn: Tensor | None,
        *,
        scored: bool,
    ) -> State:
        """The state after a step that led to new ids, or to the same where they were redrawn."""
        changed, masked = ids != state.ids, masks(ids, self.mask_id)
        differing, left = denoiser.look(ids, state.ids, changed, masked)
        step, answer = state.step + 1, denoiser.answer
        if answer.shape[:2] == ids.shape:  # what the sampler asks next is known by now
            differences.put(differing, ids, state.ids)
            count.put(left, masked)
        if redrawn is None and not differing:  # a cached step: nothing to look up
            return evolve(state, step=step, nfe=denoiser.nfe, ids=ids, committed=changed)
        taken = masked if left and (self.sampler.remasks or redrawn is not None) else None
        scores = state.confidence, state.entropy
        if scored:
            drawn = changed if redrawn is None else redrawn
            known = differing if redrawn is None and taken is None else None
            scores = self._scores(scores, ids, denoiser, (drawn, known), taken)
        if redrawn is not None and not state.step:  # of the first noise nothing counts as drawn
            changed = changed | (redrawn & (state.committed_at == MASKED))
        committed_at = state.committed_at.masked_fill(changed, step)
        if taken is not None:
            committed_at, changed = committed_at.masked_fill(masked, MASKED), changed & ~masked
        return State(
            step=step,
            nfe=denoiser.nfe,
            ids=ids,
            committed=changed,
            confidence=scores[0],
            committed_at=committed_at,
            entropy=scores[1],
        )

    @staticmethod
    def _scores(
        scores: tuple[Tensor, Tensor],
        ids: Tensor,
        denoiser: Watched,
        drawn: tuple[Tensor, int | None],
        taken: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Confidence and entropy (B, L), from what they were: new where tokens were drawn.

        Args:
            scores: of the state before.
            ids: the new state.
            denoiser: its last answer is what was drawn from.
            drawn: (B, L) bool, and how many they are, if that is known.
            taken: (B, L) bool where masks are that may have been tokens, or unset.
        """
        answer = denoiser.answer
        start, stop = denoiser.start, denoiser.start + answer.shape[1]
        asked, known = drawn
        asked = asked if answer.shape[:2] == ids.shape else asked[:, start:stop]
        if taken is not None:
            asked = asked & ~taken[:, start:stop]
        if known is not None:
            count.put(known, asked)
        rows, places = torch.nonzero_static(asked, size=count(asked)).unbind(1)
        at = (rows, places + start if start else places)
        fresh = (
            answer[rows, places, ids[at]].double().exp(),
            entropies_at(answer, rows, places).double(),
        )
        confidence, entropy = (
            old.index_put(at, new) for old, new in zip(scores, fresh, strict=True)
        )
        if taken is not None:
            confidence, entropy = confidence.masked_fill(taken, 0), entropy.masked_fill(taken, 0)
        return confidence, entropy

    def _check(
        self,
        x: Tensor,
        fixed: Tensor | None,
        seeds: Sequence[int],
        lengths: Sequence[int] | None,
    ) -> tuple[Tensor, Tensor]:
        """The fixed positions, padding included, and the valid ones, both (B, L) bool."""
        if x.ndim != 2 or x.numel() == 0 or x.dtype != torch.int64:
            raise InferenceError(
                f"nothing to sample: x is {x.dtype} of shape {tuple(x.shape)}; "
                "expected int64 (rows, length), both at least 1"
            )
        rows, length = x.shape
        if len(seeds) != rows:
            raise InferenceError(f"{len(seeds)} seeds for {rows} rows; expected one each")
        masked = x == self.mask_id
        fixed = ~masked if fixed is None else fixed
        if fixed.shape != x.shape or fixed.dtype != torch.bool:
            raise InferenceError(
                f"fixed: expected bool of shape {tuple(x.shape)}, got {fixed.dtype} of shape "
                f"{tuple(fixed.shape)}"
            )
        valid = torch.ones_like(fixed)
        if lengths is not None:
            if len(lengths) != rows or not all(1 <= n <= length for n in lengths):
                raise InferenceError(
                    f"lengths {list(lengths)[:8]}; expected {rows} numbers from 1 to {length}"
                )
            ends = torch.tensor(lengths, device=x.device)
            valid = torch.arange(length, device=x.device) < ends[:, None]
        fixed = fixed | ~valid
        if (masked & fixed).any():
            row, column = (masked & fixed).nonzero()[0].tolist()
            raise InferenceError(
                f"row {row}, position {column} is fixed and holds a mask; give it a token, or let "
                "it be sampled (padding, too, holds any token but the mask)"
            )
        return fixed, valid
