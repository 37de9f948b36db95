"""Whether a corruption makes a bound: asked when a network is made, to be trained or read.

`aios_core.contracts.soundness` asks it of schedules, which is all there is to ask under masks.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import torch

from aios_core.component import blamed, described
from aios_core.contracts.soundness import fault as schedule_fault
from aios_core.contracts.space import Vocabulary
from aios_core.diffusion.process import DiscreteProcess
from aios_core.errors import PluginError

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import Corruption, NoiseScheduler

UNSEEN: Final = 5e-3
"""Most of L ln V that the bound of a predictor that knows nothing may be off by."""
_TOKENS: Final = 32
_TIMES: Final = 256
_STAND_IN: Final = Vocabulary(size=_TOKENS + 1, mask_id=_TOKENS, pad_id=0, bos_id=1, eos_id=2)


def check(corruption: Corruption) -> None:
    """Refuse a corruption of which the bound would be none.

    It is asked for the noise of a small vocabulary while alpha falls evenly, for the bound does not
    depend on the schedule.

    Raises:
        PluginError: naming the corruption.
    """
    try:
        problem = _known(corruption)
    except TypeError:  # a field is no value
        problem = _fault(corruption)
    if problem:
        raise PluginError(f"{described(corruption)}: {problem}")


def check_learned(schedule: NoiseScheduler, built: NoiseScheduler, epsilon: float) -> None:
    """Refuse what a schedule has become: one that learns may learn what no bound can be taken by.

    Args:
        schedule: the component.
        built: what it made, as it is now.
        epsilon: the smallest time that is drawn.

    Raises:
        PluginError: naming the schedule.
    """
    if built is not schedule and (problem := schedule_fault(built, epsilon)):
        raise PluginError(f"{described(schedule)}, as it has learned to be: {problem}")


def _fault(corruption: Corruption) -> str | None:
    u = (torch.arange(_TIMES, dtype=torch.float64) + 0.5) / _TIMES
    alpha, share = 1 - u.square(), 2 * u  # squares, for the loss of the last noise is steep
    with blamed(corruption, "noise"):
        levels = torch.cat((alpha, alpha.new_tensor([0.0, 1.0])))
        problem = _breach(corruption, levels)
        if problem or corruption.absorbing:
            return problem
        measured = _share(DiscreteProcess(corruption, _STAND_IN), alpha, share)
    if abs(measured - 1) <= UNSEEN:
        return None
    return (
        f"a predictor that knows nothing would get {measured:.6g} of L ln V; expected {1 - UNSEEN} "
        f"to {1 + UNSEEN}"
    )


_known = lru_cache(maxsize=256)(_fault)


def _breach(corruption: Corruption, levels: Tensor) -> str | None:
    """Why its noise is no distribution at each level, or not the one that it says it is."""
    shares = corruption.noise(levels, _STAND_IN)
    shape = (len(levels), _STAND_IN.size)
    if shares.shape != shape or shares.dtype != torch.float64:
        return (
            f"noise gives {shares.dtype} of shape {tuple(shares.shape)}; expected torch.float64 "
            f"of shape {shape}"
        )
    if not bool((shares >= 0).all()) or not bool(((shares.sum(-1) - 1).abs() < 1e-9).all()):
        return "noise is not a distribution; expected probabilities that add up to 1"
    if corruption.absorbing and not bool((shares[:, _STAND_IN.mask_id] == 1).all()):
        return "absorbing is True, and noise is not the mask alone"
    return None


def _share(process: DiscreteProcess, alpha: Tensor, share: Tensor) -> float:
    """What the NELBO is of a predictor that knows nothing, in units of ln V a token."""
    every = torch.arange(_STAND_IN.size).expand(len(alpha), -1)
    clean = torch.ones_like(every)
    log_probs = torch.full((_STAND_IN.size,), float(_TOKENS), dtype=torch.float64).log().neg()
    log_probs[_STAND_IN.mask_id] = -torch.inf
    log_probs = log_probs.expand(*every.shape, -1)
    nats = process.integrand(every, clean, log_probs, alpha, -torch.ones_like(alpha))
    chance = alpha[:, None] * (every == clean) + process.mass(alpha)
    entropy = torch.tensor(float(_TOKENS), dtype=torch.float64).log()
    return float(((nats * chance).sum(-1) * share).mean() / entropy)
