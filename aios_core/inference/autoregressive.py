"""InferenceCore: from left to right, a token a call, no position read twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from attrs import frozen
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own custom

from aios_core.component import blamed, named
from aios_core.contracts import Condition, Controls
from aios_core.diffusion.logits import LogitsProcessor
from aios_core.diffusion.random import RowRandom
from aios_core.errors import InferenceError

if TYPE_CHECKING:
    from aios_core.contracts import Cache
    from aios_core.diffusion.model import Model

Restrict = Callable[[Tensor, Sequence[Sequence[int]]], Tensor]
"""Normalised log-probabilities (B, V) of what may come next, given those of what the network
would have come, and the tokens that each row has after its prompt."""


@frozen
class DecodingStep:
    """One more token for each row; every tensor on the device of the model."""

    nfe: int
    """Calls of the network so far, each for the whole batch."""
    tokens: Tensor
    """(B,) int64."""
    log_probs: Tensor
    """(B,) float64: of each token, before any temperature."""
    entropy: Tensor
    """(B,) float64 nats: of the prediction that each token was drawn from."""
    active: Tensor
    """(B,) bool: rows that this step belongs to; the others were done before it."""
    finished: Tensor
    """(B,) bool: rows that are done with it."""


class InferenceCore:
    """Samples from an autoregressive model.

    Each row draws from its own generator, and padding is invisible, so a row's text depends on
    its prompt and its seed, not on its batch mates. (What remains is the rounding of floating-point
    sums, which libraries order by the shape of a batch.)

    Args:
        model: an autoregressive `Model`.
        temperature: divides log-probabilities before a token is drawn; 0 takes the likeliest.
        controls: what may be drawn besides.
        cached: keep keys and values where the backbone offers that; False reads everything again
            for each token, which gives the same and costs more.
    """

    def __init__(
        self,
        model: Model,
        *,
        temperature: float = 1.0,
        controls: Controls = Controls(),  # noqa: B008 - frozen
        cached: bool = True,
    ) -> None:
        if model.mode != "ar":
            raise InferenceError(
                "a diffusion model has no next token; expected an autoregressive one"
            )
        if not temperature >= 0:
            raise InferenceError(f"temperature is {temperature}; expected 0 or more")
        self.model, self.temperature = model.eval(), temperature
        self.controls = controls
        self.cached = cached and hasattr(model.backbone, "new_cache")

    @torch.no_grad()
    def stream(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        seeds: Sequence[int],
        max_new_tokens: Sequence[int],
        eos_id: int | None = None,
        restrict: Restrict | None = None,
    ) -> Iterator[DecodingStep]:
        """Continue prompts, until every row is done.

        Args:
            prompts: B rows of token ids, of any lengths, also none.
            seeds: one for each row.
            max_new_tokens: of each row, at least 1.
            eos_id: token that ends a row, and belongs to it; None: only its number of tokens does.
            restrict: a hard constraint, applied before all else.

        Raises:
            InferenceError: the input contradicts itself, or the network answers NaN.
        """
        rows = len(prompts)
        if not rows == len(seeds) == len(max_new_tokens) or rows == 0 or min(max_new_tokens) < 1:
            raise InferenceError(
                f"{rows} prompts, {len(seeds)} seeds, max_new_tokens {list(max_new_tokens)[:8]}; "
                "expected at least one prompt, and a seed and a number from 1 on for each"
            )
        device, vocabulary = self.model.device, self.model.vocabulary
        starting = [[vocabulary.bos_id, *prompt] for prompt in prompts]
        width = max(map(len, starting))
        reader = _Reader(self.model, width + max(max_new_tokens), cached=self.cached)
        padded = [[vocabulary.pad_id] * (width - len(row)) + row for row in starting]
        x = torch.tensor(padded, device=device)
        starts = torch.tensor([width - len(row) for row in starting], device=device)
        valid = torch.arange(width, device=device) >= starts[:, None]
        budgets = torch.tensor(max_new_tokens, device=device)
        processor = LogitsProcessor(self.controls, vocabulary.mask_id)
        random = RowRandom(seeds, 1, device, processor if self.controls.active else None)
        histories: list[list[int]] = [[] for _ in prompts]
        active = torch.ones(rows, dtype=torch.bool, device=device)
        count = 0
        made = self.model.made
        while active.any():
            with blamed(made[1][1], "its module", within=made):
                log_probs = self._predict(reader, x, valid)
            if restrict is not None:
                log_probs = restrict(log_probs, histories)
            processor.observe(x.where(valid, vocabulary.mask_id))
            everywhere = torch.ones_like(x[:, -1:], dtype=torch.bool)
            tokens = random.categorical(
                log_probs[:, None], everywhere, self.temperature, vocabulary.mask_id
            )[:, 0].where(active, vocabulary.pad_id)
            broken = random.invalid()
            invalid = torch.zeros_like(tokens) if broken is None else broken.long().expand(rows)
            drawn, on, refused = torch.stack((tokens, active.long(), invalid)).tolist()  # one wait
            if any(refused):
                raise InferenceError(
                    f"token {count + 1} was drawn from log-probabilities that are not a "
                    "distribution; the network answered with one, so a constraint or a filter "
                    "made it so"
                )
            count += 1
            ended = budgets <= count
            finished = ended if eos_id is None else ended | (tokens == eos_id)
            yield DecodingStep(
                nfe=count,
                tokens=tokens,
                log_probs=log_probs.gather(-1, tokens[:, None])[:, 0],
                entropy=torch.special.entr(log_probs.exp()).sum(-1),
                active=active,
                finished=finished | ~active,
            )
            for history, token, once in zip(histories, drawn, on, strict=True):
                history.extend([token] * once)
            active = active & ~finished
            x = torch.cat((x, tokens[:, None]), 1)
            # A row that is done reads on what nobody looks at; its own place must be no NaN.
            valid = torch.cat((valid, torch.ones_like(everywhere)), 1)

    def _predict(self, reader: _Reader, x: Tensor, valid: Tensor) -> Tensor:
        """Log-probabilities (B, V) float64 of the token after x."""
        logits = reader(x, valid)
        logits[:, self.model.vocabulary.mask_id] = -torch.inf
        log_probs = F.log_softmax(logits, dim=-1, dtype=torch.float64)
        if bool((nan := ~log_probs.amax(-1).isfinite()).any()):
            raise InferenceError(
                f"the network ({named(self.model.made[1][1])}) answered with NaN at position "
                f"{x.shape[1] - 1} (rows {nan.nonzero()[:8, 0].tolist()}); its weights are damaged "
                "or its precision is too low"
            )
        return log_probs


class _Reader:
    """The network, given the whole text each time; with a cache it computes new positions alone."""

    def __init__(self, model: Model, capacity: int, *, cached: bool) -> None:
        self.model = model
        module: Any = model.backbone
        self.cache: Cache | None = module.new_cache(capacity) if cached else None

    def __call__(self, x: Tensor, valid: Tensor) -> Tensor:
        """Logits (B, V) of the token after x (B, P)."""
        known = None if bool(valid.all()) else valid  # attention without a mask is faster
        new = x if self.cache is None else x[:, self.cache.length :]
        h = self.model.states(new, None, Condition(valid=known, cache=self.cache))
        return self.model.decode(h[:, -1:])[:, 0]
