"""How likely tokens are, given others: estimates that are fit to be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from attrs import Attribute, field, frozen
from torch.nn import functional as F  # noqa: N812 - torch's own custom

from aios_core.contracts import Condition, Sequences
from aios_core.diffusion.bounds import Bound, CountBound
from aios_core.diffusion.chunking import entries_on
from aios_core.diffusion.objective import estimate
from aios_core.diffusion.random import RowRandom, row_seed
from aios_core.diffusion.rounding import tile, up, widened
from aios_core.errors import InferenceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from aios_core.contracts import Denoiser, NoiseScheduler
    from aios_core.diffusion.model import Model

DRAWS: Final = 8
"""Of orders, by default."""
STRATA: Final = 8
"""Calls of the network a draw: numbers of masks, from few to all."""
_MOST_DRAWS: Final = 1 << 20
"""Beyond any that a difference needs."""


@frozen(eq=False)
class Question:
    """A row, and which of its tokens are asked for."""

    ids: tuple[int, ...]
    """L token ids; what holds a mask is unknown, and stays so."""
    asked: tuple[bool, ...]
    """L flags, one at least; what is neither asked for nor a mask is given."""


@frozen(eq=False)
class Likelihoods:
    """Log-probabilities of candidates, in nats, by the same draws for all."""

    draws: NDArray[np.float64] = field()
    """(N, D) an estimate of each candidate by each draw, a lower bound in the mean; where they are
    exact, as those of an autoregressive model, D is 1."""

    @draws.validator
    def _shape(self, attribute: Attribute[NDArray[np.float64]], value: NDArray[np.float64]) -> None:
        if value.ndim != 2 or not value.size:
            raise ValueError(f"{attribute.name}: expected (candidates, draws), got {value.shape}")

    @property
    def values(self) -> tuple[float, ...]:
        """The estimate of each candidate."""
        return tuple(self.draws.mean(1).tolist())

    @property
    def best(self) -> int:
        """Number of the likeliest candidate; the first of several."""
        return int(self.draws.mean(1).argmax())

    @property
    def behind(self) -> tuple[tuple[float, float], ...]:
        """By how much each is less likely than the best, and the standard error of that.

        The draws are paired, so the error is smaller than those of the two estimates.
        """
        gaps = self.draws[self.best] - self.draws
        count = gaps.shape[1]
        error = gaps.std(1, ddof=1) / count**0.5 if count > 1 else 0 * gaps[:, 0]
        return tuple(zip(gaps.mean(1).tolist(), error.tolist(), strict=True))


def asked_behind(
    given: Sequence[int],
    candidates: Sequence[Sequence[int]],
    context: int,
    begin: Sequence[int] = (),
) -> list[Question]:
    """What may follow a text.

    Args:
        given: ids of the text.
        candidates: ids of what may follow.
        context: most tokens of both.
        begin: what stands in front of every text, also of those that do not begin with it.

    Raises:
        InferenceError: there is no candidate, an empty one, or one that does not fit the context.
    """
    if not candidates:
        raise InferenceError("expected at least 1 candidate, got none")
    for number, ids in enumerate(candidates):
        if not 1 <= len(ids) <= context - len(given):
            raise InferenceError(
                f"candidate {number} has {len(ids)} tokens, and the prompt {len(given)}; expected "
                f"1 at least, and the context is {context}"
            )
    before = tuple(given) if list(given[:1]) == list(begin) else (*begin, *given)
    known = (False,) * len(before)
    return [Question((*before, *ids), (*known, *(True for _ in ids))) for ids in candidates]


def log_likelihoods(
    model: Model, questions: Sequence[Question], *, draws: int, seed: int
) -> Likelihoods:
    """Log p of what is asked for in each row, given what else is there.

    Under masks the k-th token asked for is masked when that of the other rows is; in blocks, and
    under other noise, the draws of a position are the same in all rows.

    Args:
        model: a diffusion model, in blocks or under other noise than masks if nothing is unknown;
            or an autoregressive one, which knows it exactly, of what stands at the end of rows.
        questions: of any lengths.
        draws: D, of `STRATA` calls of the network each.
        seed: decides the draws.

    Raises:
        InferenceError: the model cannot be asked so.
    """
    if not 1 <= draws <= _MOST_DRAWS:
        raise InferenceError(f"draws is {draws}; expected 1 to {_MOST_DRAWS:,}")
    if model.mode == "ar":
        exact = [_exact(model, question) for question in questions]
        return Likelihoods(np.array(exact)[:, None])
    if not model.process.absorbing or model.in_blocks:
        by_noise = [_by_noise(model, question, draws, seed) for question in questions]
        return Likelihoods(torch.stack(by_noise).numpy())
    masked, device = model.vocabulary.mask_id, model.device

    def denoiser(valid: Tensor) -> Denoiser:
        return model.denoiser(None if bool(valid.all()) else Condition(valid))

    width, size = max(len(question.ids) for question in questions), model.vocabulary.size
    at_once = max(1, entries_on(device) // (width * size))
    parts = []
    for start in range(0, len(questions), at_once):
        part = questions[start : start + at_once]
        ids, asked, valid = _tensors(part, model.vocabulary.pad_id, device)
        estimates = bounds(
            denoiser(valid), ids, asked, mask_id=masked, noise=model.noise, draws=draws, seed=seed
        )
        parts.append(estimates.cpu())
    return Likelihoods(torch.cat(parts).numpy())


@torch.no_grad()
def bounds(
    denoiser: Callable[[Tensor, Tensor], Tensor],
    ids: Tensor,
    asked: Tensor,
    *,
    mask_id: int,
    noise: NoiseScheduler,
    draws: int,
    seed: int,
) -> Tensor:
    """Estimates of log p of some tokens of each row, given the others.

    A draw is an order of the n that are asked for, in which k are masked, k spread evenly over 1
    to n. The mean of n / k times the sum of their log-probabilities is in the mean a lower bound
    (LLaDA, arXiv 2502.09992, eq. 6), and log p itself where the network's conditionals are those
    of one joint.

    Args:
        denoiser: log-probabilities (B, L, V) of states (B, L) at times (B,).
        ids: (B, L) int64.
        asked: (B, L) bool, one at least in each row.
        mask_id: token id of the mask.
        noise: whose times belong to shares of masks.
        draws: D.
        seed: decides the draws, the same ones for every row.

    Returns:
        (B, D) float64 nats.
    """
    n, place = asked.sum(-1), (asked.cumsum(-1) - 1).clamp(min=0)
    unknown, estimates = (ids == mask_id).sum(-1), []
    for draw in range(draws):
        random = RowRandom([row_seed(seed, draw)], ids.shape[1], ids.device)
        order = random.uniform().expand(len(ids), -1).gather(1, place)
        rank = order.masked_fill(~asked, torch.inf).argsort(-1).argsort(-1)
        offset, total = random.uniform()[0, 0], 0.0 * n
        for stratum in range(STRATA):
            share = (stratum + offset) / STRATA
            k = (share * n).long().clamp(max=n - 1) + 1
            hidden = (rank < k[:, None]) & asked
            times = noise.inverse(1 - (k + unknown).double() / (n + unknown))
            log_probs = denoiser(ids.masked_fill(hidden, mask_id), times)
            own = log_probs.gather(-1, ids[..., None])[..., 0].double()
            total = total + own.masked_fill(~hidden, 0).sum(-1) * n / k
        estimates.append(total / STRATA)
    return torch.stack(estimates, 1)


@torch.no_grad()
def _by_noise(model: Model, question: Question, draws: int, seed: int) -> Tensor:
    """(D,) float64 estimates of log p of some tokens of a row, as a network is trained.

    Each is the mean of a bound over as many times as there are strata, all under one draw of noise:
    in blocks that of exact counts of masks in each, given the blocks before.
    """
    if model.vocabulary.mask_id in question.ids:
        raise InferenceError(
            "a mask stands for a token that is not known, which networks that learn in blocks or "
            "under other noise cannot leave so; expected rows without masks"
        )
    model.eval()
    length, size = len(question.ids), model.block_size if model.in_blocks else 1
    width = up(length, size)
    fill = width - length
    ids = torch.tensor([[*question.ids, *[model.vocabulary.pad_id] * fill]]).expand(STRATA, -1)
    asked = torch.tensor([[*question.asked, *[False] * fill]]).expand(STRATA, -1)
    rows = Sequences(ids, (torch.arange(width) < length).expand(STRATA, -1), asked)
    bound = CountBound() if model.process.absorbing else Bound()
    blocks, estimates = width // size if model.in_blocks else 1, []
    for draw in range(draws):
        random = RowRandom([row_seed(seed, draw)] * STRATA, width)
        times = (torch.arange(STRATA) + random.uniform()[0, 0]) / STRATA
        nats = estimate(model, rows, times[:, None].expand(-1, blocks), random, objective=bound)
        estimates.append(-nats.double().mean().cpu())
    return torch.stack(estimates)


@torch.no_grad()
def _exact(model: Model, question: Question) -> float:
    """Log p of the last tokens of a row under an autoregressive model."""
    begin = question.asked.index(True)
    if not all(question.asked[begin:]) or model.vocabulary.mask_id in question.ids:
        raise InferenceError(
            "an autoregressive model writes from the left; expected candidates at the end of texts"
        )
    model.eval()
    ids = torch.tensor([question.ids], device=model.device)
    before = F.pad(ids[:, :-1], (1, 0), value=model.vocabulary.bos_id)
    # Behind the end stands what no other position sees, as `rounding` says.
    width = up(ids.shape[1], tile(ids.device))
    h = model.states(widened(before, width, model.vocabulary.pad_id), None, None)
    log_probs = model.log_probs(h)[:, : ids.shape[1]]
    own = log_probs.gather(-1, ids[..., None])[0, begin:, 0]
    return float(own.double().sum())


def _tensors(
    questions: Sequence[Question], pad_id: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """(B, L) ids, what is asked for, and what is no padding."""
    width = max(len(question.ids) for question in questions)
    spare = [width - len(question.ids) for question in questions]
    pairs = list(zip(questions, spare, strict=True))
    ids = [[*question.ids, *[pad_id] * missing] for question, missing in pairs]
    asked = [[*question.asked, *[False] * missing] for question, missing in pairs]
    valid = [[True] * (width - missing) + [False] * missing for missing in spare]
    rows, flags, shown = (torch.tensor(values, device=device) for values in (ids, asked, valid))
    return rows, flags, shown
