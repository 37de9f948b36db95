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
from aios_core.diffusion.entropies import entropy
from aios_core.diffusion.logits import LogitsProcessor
from aios_core.diffusion.random import RowRandom
from aios_core.diffusion.rounding import repeated, tile, up
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

    Each row draws from its own generator, and is read beside rows of its own width alone, as many
    as fill the tiles of a product (`rounding`). So the text of a row, and on the CPU every number
    that is said of it, depends on its prompt and its seed, not on its batch mates.

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
        readers = self._readers(starting, max(max_new_tokens))
        width = max(map(len, starting))
        padded = [[vocabulary.mask_id] * (width - len(row)) + row for row in starting]
        x = torch.tensor(padded, device=device)  # what is there already; a mask is nothing
        log_probs = torch.zeros(rows, vocabulary.size, dtype=torch.float64, device=device)
        budgets = torch.tensor(max_new_tokens, device=device)
        processor = LogitsProcessor(self.controls, vocabulary.mask_id)
        random = RowRandom(seeds, 1, device, processor if self.controls.active else None)
        histories: list[list[int]] = [[] for _ in prompts]
        active = torch.ones(rows, dtype=torch.bool, device=device)
        everywhere = torch.ones(rows, 1, dtype=torch.bool, device=device)
        count = 0
        made = self.model.made
        while active.any():
            with blamed(made[1][1], "its module", within=made):
                log_probs = self._predict(readers, log_probs, width + count - 1)
            if restrict is not None:
                log_probs = restrict(log_probs, histories)
            processor.observe(x)
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
                entropy=entropy(log_probs),
                active=active,
                finished=finished | ~active,
            )
            for history, token, once in zip(histories, drawn, on, strict=True):
                history.extend([token] * once)
            active = active & ~finished
            if self.controls.active:
                x = torch.cat((x, tokens[:, None]), 1)
            if len(readers) > 1:
                going = set(active.nonzero()[:, 0].tolist())
                readers = [reader for reader in readers if going.intersection(reader.numbers)]
            for reader in readers:
                reader.add(tokens)

    def _readers(self, texts: Sequence[Sequence[int]], more: int) -> list[_Reader]:
        """One for each width: what a row is read in follows from its own length."""
        multiple, widest = tile(self.model.device), max(map(len, texts))
        of: dict[int, list[int]] = {}
        for number, text in enumerate(texts):
            # One width for all where nothing is rounded: fewer calls are faster there.
            width = up(len(text), multiple) if multiple > 1 else widest
            of.setdefault(width, []).append(number)
        return [
            _Reader(self.model, rows, [texts[row] for row in rows], width, more, cached=self.cached)
            for width, rows in sorted(of.items())
        ]

    def _predict(self, readers: Sequence[_Reader], before: Tensor, place: int) -> Tensor:
        """Log-probabilities (B, V) float64 of the next tokens.

        Args:
            readers: of the rows that go on.
            before: (B, V), what stays for the others.
            place: of the last token, in the widest row.
        """
        said = []
        for reader in readers:
            logits = reader()
            logits[:, self.model.vocabulary.mask_id] = -torch.inf
            said.append(F.log_softmax(logits, dim=-1, dtype=torch.float64))
        if len(said) == 1 and len(said[0]) == len(before):
            log_probs = said[0]
        else:
            rows = torch.cat([reader.rows for reader in readers])
            log_probs = before.index_copy(0, rows, torch.cat(said))
        if bool((nan := ~log_probs.amax(-1).isfinite()).any()):
            raise InferenceError(
                f"the network ({named(self.model.made[1][1])}) answered with NaN at position "
                f"{place} (rows {nan.nonzero()[:8, 0].tolist()}); its weights are damaged "
                "or its precision is too low"
            )
        return log_probs


class _Reader:
    """The network for rows of one width; with a cache it computes new positions alone.

    Args:
        model: an autoregressive one.
        rows: numbers of the rows among all, rising.
        texts: what they begin with, padded on the left.
        width: of the padded rows, at least that of each.
        more: tokens that may follow.
        cached: keep keys and values.
    """

    def __init__(
        self,
        model: Model,
        rows: Sequence[int],
        texts: Sequence[Sequence[int]],
        width: int,
        more: int,
        *,
        cached: bool,
    ) -> None:
        self.model, device = model, model.device
        module: Any = model.backbone
        self.cache: Cache | None = module.new_cache(width + more) if cached else None
        self.numbers, self.rows = rows, torch.tensor(rows, device=device)
        # Copies of the first row fill a tile, from when rows are read a position at a time.
        self._copied = repeated(torch.arange(len(rows), device=device), tile(device))
        self._own = self.rows[self._copied]
        padded = [[model.vocabulary.pad_id] * (width - len(text)) + list(text) for text in texts]
        self._x = torch.tensor(padded, device=device)
        starts = torch.tensor([width - len(text) for text in texts], device=device)
        self._valid: Tensor | None = None  # attention without a mask is faster
        if any(len(text) < width for text in texts):
            self._valid = torch.arange(width, device=device) >= starts[:, None]
        if not hasattr(self.cache, "take"):
            self._copy()

    def __call__(self) -> Tensor:
        """Logits (n, V) of the tokens that come next."""
        asked = Condition(valid=self._valid, cache=self.cache)
        h = self.model.states(self._x, None, asked)[:, -1:]
        if len(h) < len(self._copied):
            h = h[self._copied]
            self._copy()
            kept: Any = self.cache
            kept.take(self._copied)
        return self.model.decode(h)[: len(self.rows), 0]

    def add(self, tokens: Tensor) -> None:
        """Go on behind the tokens (B,) of all rows."""
        new = tokens[self._own, None]
        self._x = new if self.cache is not None else torch.cat((self._x, new), 1)
        if self._valid is not None:
            # A row that is done reads on what nobody looks at; its own place must be no NaN.
            self._valid = F.pad(self._valid, (0, 1), value=True)

    def _copy(self) -> None:
        self._x = self._x[self._copied]
        self._valid = None if self._valid is None else self._valid[self._copied]
