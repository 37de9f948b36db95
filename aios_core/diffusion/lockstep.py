"""Sampling of several segments at once: a sampler for each, and one call of the network for all."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, cast

import torch
from attrs import field, frozen
from torch import Tensor

from aios_core.contracts import Question, SamplingContext, Vocabulary
from aios_core.contracts.denoising import together
from aios_core.diffusion.random import RowRandom
from aios_core.errors import InferenceError

if TYPE_CHECKING:
    from aios_core.contracts import Curve, Denoising, Randomness, Sampler, Spacing, TokenProcess
    from aios_core.diffusion.joint import Joint, Part


@frozen(eq=False)
class Target:
    """A segment that is to be made."""

    sampler: Sampler
    start: Tensor | None = None
    """(B, L) or (B, L, C) with what is given in it; unset: nothing is."""
    fixed: Tensor | None = None
    """(B, L) bool: what of it is given."""
    temperature: float = 1.0
    """Of tokens."""
    spacing: Spacing | Curve = "uniform"


@frozen(eq=False)
class Guidance:
    """A pull towards what a given segment says: u + scale (c - u), with u where it is absent.

    Classifier-free guidance (arXiv 2207.12598), on the means of numbers and on log-probabilities of
    tokens (arXiv 2412.10193).
    """

    scale: float
    """1 asks the network once; more follows the segment more closely."""
    interval: tuple[float, float] = (0.0, 1.0)
    """Times of a target between which it is applied (arXiv 2404.07724)."""


@frozen(eq=False)
class Made:
    """Clean states, and what they cost."""

    states: dict[str, Tensor]
    nfe: int
    """Calls of the network, each for the whole batch."""


@frozen
class Lockstep:
    """Samplers side by side: those that still run ask, and one call answers them.

    The number of calls is that of the longest run. A row's segment follows from its seed and from
    what is given, whatever the batch; of targets with one clock it also follows from each other.
    """

    model: Joint
    guidance: Mapping[str, Guidance] = field(factory=dict)
    """By the names of given segments."""

    @torch.no_grad()
    def sample(
        self,
        given: Mapping[str, Tensor],
        targets: Mapping[str, Target],
        *,
        seeds: Sequence[int],
        order: Sequence[Sequence[str]] | None = None,
    ) -> Made:
        """Make the targets of B rows.

        Args:
            given: clean states (B, L) or (B, L, C) of segments that are there.
            targets: what is made, by name.
            seeds: one for each row.
            order: names of the targets, those of one stage together; a stage sees the segments that
                are clean, and not those of later stages. Unset: all at once.

        Raises:
            InferenceError: names, samplers or shapes do not go together; nothing is computed.
        """
        stages = [list(targets)] if order is None else [list(stage) for stage in order]
        self._check(given, targets, stages, len(seeds))
        device = self.model.device
        clean = {name: state.to(device) for name, state in given.items()}
        calls = 0
        self.model.eval()
        for stage in stages:
            contexts, runs = {}, {}
            for name in stage:
                part, target = self.model.part(name), targets[name]
                contexts[name], x = _begin(part, target, _streams(name, seeds, part, device))
                runs[name] = target.sampler.denoise(x, contexts[name])
            answer = _Answers(self, clean, contexts)
            watched = {name: answer.watched(name, run) for name, run in runs.items()}
            clean = {**clean, **together(watched, answer)}
            calls += answer.calls
        return Made({name: clean[name] for name in targets}, calls)

    def _check(
        self,
        given: Mapping[str, Tensor],
        targets: Mapping[str, Target],
        stages: Sequence[Sequence[str]],
        rows: int,
    ) -> None:
        known = list(self.model.parts)
        if unknown := [name for name in (*given, *targets, *self.guidance) if name not in known]:
            raise InferenceError(f"no segment {unknown[0]!r}; expected one of {', '.join(known)}")
        if both := [name for name in given if name in targets]:
            raise InferenceError(f"segment {both[0]!r} is given, and is to be made; expected one")
        if alone := [name for name in self.guidance if name not in given]:
            raise InferenceError(f"guidance by {alone[0]!r}, which is not given; expected to be")
        for name, state in given.items():
            if len(state) != rows:
                raise InferenceError(
                    f"segment {name!r} has {len(state)} rows; expected {rows}, one a seed"
                )
        ordered = [name for stage in stages for name in stage]
        if sorted(ordered) != sorted(targets):
            raise InferenceError(
                f"order has {', '.join(ordered) or 'nothing'}; expected each target once: "
                f"{', '.join(targets)}"
            )
        for name, target in targets.items():
            space = self.model.part(name).process.space
            if type(space) not in target.sampler.spaces:
                kind = "tokens" if isinstance(space, Vocabulary) else "numbers"
                raise InferenceError(
                    f"{type(target.sampler).__name__} does not serve the segment {name!r}; "
                    f"expected a sampler of {kind}"
                )


class _Answers:
    """What the network says of all that is asked at once."""

    def __init__(
        self,
        of: Lockstep,
        given: Mapping[str, Tensor],
        contexts: Mapping[str, SamplingContext],
    ) -> None:
        self._of, self._given, self._contexts, self.calls = of, given, contexts, 0
        self._ended: dict[str, Tensor] = {}

    def watched(self, name: str, run: Denoising) -> Denoising:
        """A run whose last state the others see from when it ends."""
        self._ended[name] = yield from run
        return self._ended[name]

    def __call__(self, asked: Mapping[str, Question]) -> dict[str, Tensor]:
        self.calls += 1
        states = {**self._given, **self._ended, **{n: each.state for n, each in asked.items()}}
        clock = {n: torch.zeros(len(x), dtype=torch.float64) for n, x in states.items()}
        for name, each in asked.items():
            assert each.t is not None
            context = self._contexts[name]
            still = ~context.fixed
            if context.absorbing:  # a row without masks is clean, however long the others take
                still = still & context.masked(each.state).any(-1, keepdim=True)
            clock[name] = torch.where(still, each.t.to(still.device)[:, None], 0.0)
        said = self._say(states, clock, asked)
        for name, guidance in self._of.guidance.items():
            rest = {n: x for n, x in states.items() if n != name}
            without = self._say(rest, {n: clock[n] for n in rest}, asked)
            for segment, each in asked.items():
                said[segment] = _pulled(said[segment], without[segment], each.t, guidance)
        return {name: self._sure(name, asked[name].state, said[name]) for name in asked}

    def _say(
        self,
        states: Mapping[str, Tensor],
        clock: Mapping[str, Tensor],
        asked: Mapping[str, Question],
    ) -> dict[str, Tensor]:
        h = self._of.model.states(states, clock)
        said = {n: self._of.model.part(n).log_probs(h[n]) for n in asked}
        return {n: each.double() if each.ndim else each for n, each in said.items()}

    def _sure(self, name: str, x: Tensor, said: Tensor) -> Tensor:
        """Of tokens under masks, what is not masked is certain; and what is drawn is normalised."""
        process = self._of.model.part(name).process
        if not isinstance(process.space, Vocabulary):
            return said
        said = said.log_softmax(-1)
        if not process.absorbing:
            return said
        certain = torch.full_like(said, -torch.inf).scatter(-1, x[..., None], 0.0)
        return torch.where((x == process.space.mask_id)[..., None], said, certain)


def _pulled(said: Tensor, without: Tensor, t: Tensor | None, guidance: Guidance) -> Tensor:
    assert t is not None
    low, high = guidance.interval
    inside = ((t >= low) & (t <= high)).to(said.device)[:, None, None]
    # Where both are minus infinity, as of the mask, their difference is no number.
    pulled = without + guidance.scale * (said - without)
    return torch.where(inside & said.isfinite() & without.isfinite(), pulled, said)


def _streams(name: str, seeds: Sequence[int], part: Part, device: torch.device) -> RowRandom:
    """Of a segment of its own, whichever others are made."""
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    return RowRandom(seeds, part.length, device).fork(number)


def _begin(part: Part, target: Target, random: Randomness) -> tuple[SamplingContext, Tensor]:
    """The context of a segment, and the noise that it begins with."""
    space, process = part.process.space, part.process
    channels = None if isinstance(space, Vocabulary) else space.width
    x = process.prior(random.uniform(channels))
    fixed = torch.zeros(x.shape[:2], dtype=torch.bool, device=x.device)
    if target.fixed is not None:
        fixed = target.fixed.to(x.device)
    if target.start is not None:
        kept = fixed if channels is None else fixed[..., None]
        x = torch.where(kept, target.start.to(x.device, x.dtype), x)
    context = partial(SamplingContext, noise=part.noise, fixed=fixed, random=random)
    mask_id = space.mask_id if isinstance(space, Vocabulary) else -1
    made = context(
        mask_id=mask_id,
        temperature=target.temperature,
        spacing=target.spacing,
        process=cast("TokenProcess", process),
    )
    return made, x
