"""Whether a schedule makes a bound: asked before anything is trained, measured or sampled by it.

The NELBO is an integral over times, of which a number of times is drawn. Of a predictor that knows
nothing it is L ln V, whatever the schedule, if alpha falls from 1 to 0 where times are drawn. So
the integral is taken here with the schedule's own weights, over the times that the estimators draw.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Final, get_args

import attrs

from aios_core.contracts.noise import NoiseScheduler, Spacing

if TYPE_CHECKING:
    from torch import Tensor

LEFT_OUT: Final = 1e-3
"""Most of the fall of alpha that either end may leave out of the bound."""
UNSEEN: Final = 3e-3
"""Most of it that times from ``time_epsilon`` on may leave out in all."""
CROWDING: Final = 32.0
"""Most that the draws may crowd: so many times fewer of them meet the fall of alpha than there are.
It is the mean square of alpha's slope, 1 where alpha is linear."""
_TIMES: Final = 2**13
_BINS: Final = 64


class _Unsound(Exception):  # noqa: N818 - never leaves this file
    """What is wrong, and what would be right."""


def fault(noise: NoiseScheduler, epsilon: float) -> str | None:
    """Why bounds under a schedule would be none, or None where they are bounds.

    Args:
        noise: the schedule; of one that learns, the module as it is now.
        epsilon: the smallest time that is drawn.
    """
    try:  # a configuration of many trials asks for each of them
        return _known(noise, epsilon) if attrs.has(type(noise)) else _fault(noise, epsilon)
    except TypeError:  # a field is no value, so that what was said of it may be out of date
        return _fault(noise, epsilon)


def _fault(noise: NoiseScheduler, epsilon: float) -> str | None:
    try:
        for check in (_ends, _elementwise, _falls, _integral, _inverse, _grids):
            check(noise, epsilon)
    except _Unsound as error:
        return str(error)
    return None


_known = lru_cache(maxsize=256)(_fault)


def _ends(noise: NoiseScheduler, _: float) -> None:
    first, last = _ask(noise.alpha, _span(0, 1, 1)).tolist()
    if not 1 - LEFT_OUT <= first <= 1 + 1e-9:
        raise _Unsound(f"alpha(0) is {first:.6g}; expected 1, or {1 - LEFT_OUT} at least")
    if not -1e-9 <= last <= LEFT_OUT * 1.001:
        raise _Unsound(
            f"alpha(1) is {last:.6g}; expected 0, or {LEFT_OUT} at most: what survives at time 1 "
            "is left out of the bound"
        )


def _elementwise(noise: NoiseScheduler, _: float) -> None:
    import torch

    t = _span(0.1, 0.9, 5)
    together = _ask(noise.alpha, t)
    if not torch.equal(together, _ask(noise.alpha, t)):
        raise _Unsound("alpha differs between two calls at the same times; expected one answer")
    table = _ask(noise.alpha, t.reshape(2, 3)).flatten()
    alone = torch.stack([_ask(noise.alpha, time) for time in t])
    for other in (table, alone):
        if not torch.allclose(together, other, rtol=1e-9, atol=1e-12):
            raise _Unsound("alpha at a time depends on what else is asked; expected it elementwise")


def _falls(noise: NoiseScheduler, _: float) -> None:
    t = _span(0, 1, _TIMES)
    alpha = _ask(noise.alpha, t)
    step = int(alpha.diff().argmax())
    if alpha[step + 1] > alpha[step] + 1e-9:
        raise _Unsound(
            f"alpha rises from {float(alpha[step]):.6g} at {float(t[step]):.6g} to "
            f"{float(alpha[step + 1]):.6g} at {float(t[step + 1]):.6g}; expected it to fall"
        )


def _integral(noise: NoiseScheduler, epsilon: float) -> None:
    """What a predictor that knows nothing gets, in units of L ln V, by both forms of it."""
    import torch

    # Squares, for schedules may be steep at their start.
    edges = epsilon + (1 - epsilon) * _span(0, 1, _TIMES).square()
    t, share = (edges[1:] + edges[:-1]) / 2, edges.diff() / (1 - epsilon)
    rate = _ask(noise.mask_rate, t)
    if not torch.allclose(rate, 1 - _ask(noise.alpha, t), rtol=0, atol=1e-6):
        raise _Unsound("mask_rate is not 1 - alpha; expected them to agree")
    forms = {
        "weight times mask_rate": _ask(noise.weight, t) * rate,
        "-alpha_prime": -_ask(noise.alpha_prime, t),
    }
    fallen = -_ask(noise.alpha, edges[:: _TIMES // _BINS]).diff()
    for name, density in forms.items():
        if (lowest := float(density.min())) < -1e-6:
            raise _Unsound(f"{name} is {lowest:.6g} somewhere; expected 0 or more")
        seen = density * share
        if abs(float(seen.sum()) - 1) > UNSEEN:
            raise _Unsound(
                f"a predictor that knows nothing would get {float(seen.sum()):.6g} of L ln V "
                f"({name}, at times from {epsilon:g} on); expected {1 - UNSEEN} to {1 + UNSEEN}: "
                "values for which alpha falls where times are drawn, or a smaller "
                "diffusion.time_epsilon"
            )
        mass = seen.reshape(_BINS, -1).sum(-1) * (1 - epsilon)
        if (off := float((mass - fallen).abs().sum())) > UNSEEN:
            raise _Unsound(
                f"{name} is not the slope of alpha: they differ by {off:.6g} of its fall; expected "
                "them to agree"
            )
        if (crowding := float((density * seen).sum())) > CROWDING:
            raise _Unsound(
                f"alpha falls within so short a time that one of {crowding:.6g} draws meets it "
                f"({name}); expected one of {CROWDING:g} at least"
            )


def _inverse(noise: NoiseScheduler, _: float) -> None:
    if type(noise).inverse is NoiseScheduler.inverse:
        return  # bisection is right for whatever falls
    first, last = _ask(noise.alpha, _span(0, 1, 1)).tolist()
    alpha = _span(last, first, 32)
    t = _ask(noise.inverse, alpha)
    if not bool(((t >= 0) & (t <= 1)).all()):
        raise _Unsound("inverse gives times outside of [0, 1]")
    off = float((_ask(noise.alpha, t) - alpha).abs().max())
    if off > 1e-6:
        raise _Unsound(f"alpha(inverse(a)) differs from a by {off:.6g}; expected at most 1e-6")


def _grids(noise: NoiseScheduler, _: float) -> None:
    if type(noise).timesteps is NoiseScheduler.timesteps:
        return
    for spacing in get_args(Spacing):

        def timesteps(grid: Tensor, spacing: Spacing = spacing) -> Tensor:
            return noise.timesteps(len(grid) - 1, spacing)

        grid = _ask(timesteps, _span(0, 1, 8))
        if grid[0] != 1 or grid[-1] != 0 or not bool((grid.diff() < 0).all()):
            raise _Unsound(
                f"timesteps(8, {spacing!r}) is {[round(time, 4) for time in grid.tolist()]}; "
                "expected times that fall from 1 to 0"
            )


def _ask(method: Callable[[Tensor], Tensor], t: Tensor) -> Tensor:
    """The answer of a method, float64 and finite, of the shape of the question."""
    import torch

    name = getattr(method, "__name__", "a method")
    try:
        answer = method(t.clone())
    except Exception as error:  # whatever a plugin's method raises is its answer
        raise _Unsound(f"{name} raised {type(error).__name__}: {error}") from error
    if not isinstance(answer, torch.Tensor):
        raise _Unsound(f"{name} gives a {type(answer).__name__}; expected a tensor")
    if answer.shape != t.shape or answer.dtype != torch.float64:
        raise _Unsound(
            f"{name} gives {answer.dtype} of shape {tuple(answer.shape)} for times of shape "
            f"{tuple(t.shape)}; expected torch.float64 of the same shape"
        )
    answer = answer.detach()
    if not bool((finite := answer.isfinite()).all()):
        place = t[~finite].flatten()[0]
        raise _Unsound(
            f"{name} is {float(answer[~finite].flatten()[0])} at {float(place):.6g}; expected a "
            "finite number"
        )
    return answer


def _span(start: float, end: float, steps: int) -> Tensor:
    """(steps + 1,) evenly spread float64."""
    import torch

    return torch.linspace(start, end, steps + 1, dtype=torch.float64)
