"""Samples for an evaluation: texts to measure, and one of them as a film of its making."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import torch
from attrs import frozen

from aios_core.contracts import Samples
from aios_core.diffusion.core import DiffusionCore, State
from aios_core.diffusion.random import row_seed

if TYPE_CHECKING:
    from aios_core.config.schema import Config
    from aios_core.contracts import TrainedTokenizer
    from aios_core.diffusion.model import Model

KEPT_TEXTS: Final = 6
"""Samples whose text is stored; the measures are of all."""


@frozen
class Sampled:
    """What was sampled, and how it came about."""

    samples: Samples
    film: dict[str, Any]
    """The first sample: ``tokens``, all its positions at the end; ``frames``, for each step the
    changes as ``[position, token, confidence]``, the token None where a mask came back; ``nfe``
    after each frame."""


def sample(config: Config, model: Model, tokenizer: TrainedTokenizer) -> Sampled:
    """Sample what ``config.sampling`` asks for, from nothing but masks."""
    sampling, mask_id = config.sampling, model.vocabulary.mask_id
    length = sampling.length or config.diffusion.length
    core = DiffusionCore(
        model,
        config.sampler,
        model.noise,
        mask_id,
        temperature=sampling.temperature,
        spacing=sampling.spacing,
        controls=sampling,
        block_size=sampling.block_size,
        cache=sampling.cache,
    )
    film = _Film(mask_id, tokenizer)
    generations = []
    began = time.perf_counter()
    for start in range(0, sampling.num_samples, sampling.batch_size):
        rows = range(start, min(start + sampling.batch_size, sampling.num_samples))
        x = torch.full((len(rows), length), mask_id, device=model.device)
        seeds = [row_seed(config.seed, row) for row in rows]
        callback = film.record if start == 0 else None
        generations.append(core.sample(x, seeds=seeds, callback=callback, scored=start == 0))
    seconds = time.perf_counter() - began
    ids = torch.cat([generation.ids for generation in generations]).cpu()
    samples = Samples(
        ids=ids,
        texts=tuple(tokenizer.decode_batch(ids.numpy())),
        nfe=sum(generation.nfe for generation in generations) / len(generations),
        seconds=seconds,
        dtype="float64",
    )
    return Sampled(samples, film.finish())


class _Film:
    """Collects what changed in the first row at each step."""

    def __init__(self, mask_id: int, tokenizer: TrainedTokenizer) -> None:
        self._mask_id, self._tokenizer = mask_id, tokenizer
        self._ids: list[int] = []
        self._frames: list[list[list[Any]]] = []
        self._nfe: list[int] = []

    def record(self, state: State) -> None:
        ids, confidence = state.ids[0].tolist(), state.confidence[0].tolist()
        before = self._ids or [self._mask_id] * len(ids)
        changed = [i for i, (old, new) in enumerate(zip(before, ids, strict=True)) if old != new]
        if self._ids or changed:  # what begins with other noise than masks shows it
            self._frames.append([[i, self._text(ids[i]), round(confidence[i], 3)] for i in changed])
            self._nfe.append(state.nfe)
        self._ids = ids

    def _text(self, token_id: int) -> str | None:
        return None if token_id == self._mask_id else self._tokenizer.token(token_id)

    def finish(self) -> dict[str, Any]:
        return {
            "tokens": [self._tokenizer.token(token_id) for token_id in self._ids],
            "frames": self._frames,
            "nfe": self._nfe,
        }
