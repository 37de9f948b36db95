"""Samplers: how noise becomes text."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from attrs import evolve, field, fields, frozen, validators

from aios_core.contracts import former
from aios_core.contracts.denoising import states
from aios_core.contracts.noise import Curve, NoiseScheduler, Spacing
from aios_core.contracts.space import Space, Vocabulary
from aios_core.tensor_cache import count, differences, highest, masks, others

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts.denoising import Denoising
    from aios_core.contracts.model import Denoiser
    from aios_core.contracts.process import TokenProcess
    from aios_core.contracts.randomness import Randomness


@frozen
class Controls:
    """What may be drawn, whichever sampler draws; the defaults change nothing.

    They change a token's distribution when it is drawn, never the confidence by which a sampler
    decides where and when to draw. The names, and the order in which they apply, are those of
    transformers.
    """

    top_k: int | None = field(
        default=None,
        validator=validators.optional(validators.and_(validators.ge(1), validators.le(2**31 - 1))),
    )
    """Draw one of the k likeliest tokens; unset: of all. Equal ones at the border all stay."""
    top_p: float = field(default=1.0, validator=[validators.gt(0), validators.le(1)])
    """Draw one of the fewest tokens that together have this probability: the likeliest ones, with
    the one that crosses it. 1 is all."""
    min_p: float = field(default=0.0, validator=[validators.ge(0), validators.le(1)])
    """Draw no token less likely than this times the likeliest. 0 is all."""
    repetition_penalty: float = field(default=1.0, validator=[validators.gt(0), validators.le(1e6)])
    """Multiplies the log-probability of tokens that the row holds already: more than 1 avoids
    them, 1 does nothing (CTRL, arXiv 1909.05858)."""
    suppress_tokens: tuple[int, ...] = field(
        default=(),
        validator=validators.deep_iterable(validators.and_(validators.ge(0), validators.lt(2**31))),
    )
    """Token ids that are never drawn."""

    def fault(self, size: int, mask_id: int) -> str | None:
        """What is wrong with them for a vocabulary; None: nothing.

        Args:
            size: V, with the mask.
            mask_id: token id of the mask, which is never drawn.
        """
        tokens = self.suppress_tokens
        if wrong := [token for token in tokens if token >= size]:
            return f"suppress_tokens: {wrong[0]} is not a token; expected 0 to {size - 1}"
        if len({*tokens, mask_id}) == size:
            return f"suppress_tokens: all {size - 1} tokens; expected one that is left to be drawn"
        return None

    @property
    def active(self) -> bool:
        """Whether they change anything."""
        return any(getattr(self, control.name) != control.default for control in fields(Controls))


@frozen
class SamplingContext:
    """All that a sampler may use besides the state and the prediction."""

    noise: NoiseScheduler
    """The schedule that the network was trained under."""
    mask_id: int
    """Token id of the mask."""
    fixed: Tensor
    """(B, L) bool: what the caller gave (prompt, infilling, padding); never change it."""
    random: Randomness
    """One generator a row, so that a row's text does not depend on its batch mates."""
    temperature: float = 1.0
    """Divides log-probabilities before a token is drawn; 0 takes the most probable token."""
    spacing: Spacing | Curve = "uniform"
    """Of the time grid."""
    process: TokenProcess | None = None
    """The corruption that the network was trained under; None: masks."""
    time_conditioned: bool = True
    """Whether predictions depend on the time; if not, an unchanged x keeps its prediction."""

    @property
    def absorbing(self) -> bool:
        """Whether noise is the mask and nothing else, so that what is not masked is clean."""
        return self.process is None or self.process.absorbing

    @property
    def free(self) -> Tensor:
        """(B, L) bool: what may change; do not write to it."""
        return others(self.fixed)

    def masked(self, x: Tensor) -> Tensor:
        """(B, L) bool: positions of x that are still to be filled; do not write to it."""
        return masks(x, self.mask_id)

    def time(self, x: Tensor) -> Tensor:
        """(B,) float64: when the schedule holds as many masks as x does, row by row.

        For samplers without a time grid; 1 where all that may change is masked.
        """
        import torch

        free = self.free.sum(-1).clamp(min=1)
        start = torch.ones(len(x), dtype=torch.float64, device=x.device)
        return self.noise.inverse(1 - self.masked(x).sum(-1) / free * self.noise.mask_rate(start))

    def uniform(self, channels: int | None = None) -> Tensor:
        """(B, L) or (B, L, C) float64 uniforms in [0, 1), each row from its own generator."""
        return self.random.uniform() if channels is None else self.random.uniform(channels)

    def categorical(
        self, log_probs: Tensor, where: Tensor, bonus: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Draw a clean token where asked; the mask token is never drawn.

        The draw is by inverse distribution function in float64: float32 Gumbel noise cannot reach
        tokens of small probability and lowers the entropy of long runs (arXiv 2409.02908).

        Args:
            log_probs: (B, L, V) from the denoiser.
            where: (B, L) bool.
            bonus: a token at each position, (B, L) int64, and the share (B, L) float64 of its
                weight that comes on top, at least 0; unset: nothing.

        Returns:
            (B, L) int64; the mask id where not asked.
        """
        return self.random.categorical(log_probs, where, self.temperature, self.mask_id, bonus)


class Sampler(ABC):
    """Turns a (partly) masked state into a clean one.

    Most people subclass `StepSampler`, which walks a time grid, or `AdaptiveSampler`, which fills
    in as much at once as the prediction allows, and write one method. Subclass this one to own
    the loop, a coroutine::

        def denoise(self, x, context):
            while context.masked(x).any():
                log_probs = yield x, context.time(x)
                x = torch.where(context.masked(x), context.categorical(...), x)
            return x

    It never calls the network: whoever runs it answers, so one call may answer many samplers. What
    it has to remember is in its locals, for a component keeps no state.
    """

    exact: ClassVar[Literal["always", "in the limit", "one at a time", "never"]]
    """When samples follow the model's joint distribution: with any settings, as the number of
    steps grows, when one token is committed a step, or never (say why in the docstring). With
    its fields at their defaults; the contract suite measures it against an enumerated joint."""

    remasks: ClassVar[bool] = False
    """Whether a token that was committed may change again; under noise that is not masks alone it
    always may."""

    absorbing_only: ClassVar[bool] = True
    """Whether it needs noise to be masks alone; False: it serves every corruption."""

    spaces: ClassVar[tuple[type[Space], ...]] = (Vocabulary,)
    """Kinds of spaces that it serves."""

    def __init_subclass__(cls, **settings: Any) -> None:
        """See `former`."""
        super().__init_subclass__(**settings)
        former.serve_sampler(cls)

    @abstractmethod
    def denoise(self, x: Tensor, context: SamplingContext) -> Denoising:
        """Run to the end, asking on the way.

        Args:
            x: (B, L) int64, the mask id where text is wanted.
            context: schedule, generators, fixed positions.

        Yields:
            A state and the (B,) float64 times at which the network is asked about it, or None to
            show a state without a question; see `Question`. A state is (B, L) int64, a new tensor
            for each but the first, and is never written to again. What is sent is log-probabilities
            (B, L, V), as a `Denoiser` gives them; they may be written to, and, as they are large,
            should be let go before the next question.

        Returns:
            The last state, which holds no mask.
        """

    def sample(self, denoiser: Denoiser, x: Tensor, context: SamplingContext) -> Iterator[Tensor]:
        """The states of a run that a denoiser answers: for subclasses of the form of `former`."""
        context = evolve(context, time_conditioned=denoiser.time_conditioned)
        return states(former.written(type(self))(self, x, context), x, denoiser)


@frozen
class StepSampler(Sampler):
    """A sampler that walks a time grid: write `step`, the loop is here."""

    steps: int = field(
        default=64, kw_only=True, validator=[validators.ge(1), validators.le(1_000_000)]
    )
    """Number of steps from pure noise to clean text."""

    @abstractmethod
    def step(
        self, x: Tensor, t: Tensor, s: Tensor, log_probs: Tensor, context: SamplingContext
    ) -> Tensor:
        """One step from time t to the earlier time s.

        Args:
            x: (B, L) int64 state at time t.
            t: () float64, the present time; for masks on the host, whatever device x is on.
            s: () float64, the time after the step; 0 at the last, when nothing may stay masked.
            log_probs: (B, L, V) the denoiser's answer for x at t.
            context: schedule, generators, fixed positions.

        Returns:
            (B, L) int64, a new tensor.
        """

    def times(self, context: SamplingContext) -> Tensor:
        """(steps + 1,) float64 times to stop at, from 1 down to 0; the grid of the schedule."""
        return context.noise.timesteps(self.steps, context.spacing)

    def denoise(self, x: Tensor, context: SamplingContext) -> Denoising:
        """Walk the time grid; a network that ignores time is not asked twice about one state.

        Unless tokens may change, it ends when no mask is left.
        """
        log_probs, changing = None, self.remasks or not context.absorbing
        grid = self.times(context)
        clock = grid.to(x.device)
        # Numbers on the host go with tensors anywhere, and what is made of them costs no launch;
        # of noise that is not masks alone a whole distribution is made.
        for now, (t, s) in zip(clock, pairwise(grid if context.absorbing else clock), strict=False):
            if not (changing or count(context.masked(x))):
                break
            if log_probs is None:
                log_probs = yield x, now.expand(len(x))
            new = self.step(x, t, s, log_probs, context)
            yield new, None  # shown before it is looked at: whoever looks first waits for all
            if context.time_conditioned or differences(new, x):
                log_probs = None  # before the next answer is made, for each is large
            x = new
        return x


class AdaptiveSampler(Sampler):
    """A sampler that fills in as much at once as the prediction allows: write `choose`.

    It has no number of steps; it asks the network until nothing is masked, at most L times.
    """

    @abstractmethod
    def choose(self, masked: Tensor, log_probs: Tensor, context: SamplingContext) -> Tensor:
        """Which positions to fill in now, each with a draw of its own.

        Args:
            masked: (B, L) bool, what is still to be filled.
            log_probs: (B, L, V) the denoiser's answer.
            context: schedule, generators, fixed positions.

        Returns:
            (B, L) bool; what is not masked is ignored, and in a row for which nothing is chosen
            the position of the highest probability is.
        """

    def denoise(self, x: Tensor, context: SamplingContext) -> Denoising:
        """Ask, choose and draw, until no row holds a mask."""
        import torch

        any_time = torch.ones(len(x), dtype=torch.float64, device=x.device)
        while count(masked := context.masked(x)):
            log_probs = yield x, context.time(x) if context.time_conditioned else any_time
            score = highest(log_probs).masked_fill(others(masked), -math.inf)
            fill = self.choose(masked, log_probs, context)
            if fill.shape != x.shape or fill.dtype != torch.bool:
                raise ValueError(
                    f"choose gives {fill.dtype} of shape {tuple(fill.shape)}; expected torch.bool "
                    f"of shape {tuple(x.shape)}"
                )
            fill = fill & masked
            # Where something is chosen this finds one of it; where nothing is masked, no mask.
            best = score.masked_fill(fill, math.inf).argmax(-1, keepdim=True)
            fill = fill.scatter(-1, best, value=True) & masked
            x = context.categorical(log_probs, fill).where(fill, x)
            del log_probs  # before the next answer is made, for each is large
            yield x, None  # shown before it is looked at, as above
        return x
