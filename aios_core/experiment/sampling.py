"""Samples for an evaluation: texts to measure, and one of them as a film of its making."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import attrs
import numpy as np
import torch
from attrs import frozen

from aios_core.contracts import Completion, Samples, Sequences
from aios_core.diffusion.core import DiffusionCore
from aios_core.diffusion.random import row_seed
from aios_core.experiment.film import Film
from aios_core.training.tokens import spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aios_core.config.schema import Config
    from aios_core.contracts import TrainedTokenizer
    from aios_core.diffusion.model import Model
    from aios_core.training.layout import Framing
    from aios_core.training.tokens import Tokens

KEPT_TEXTS: Final = 6
"""Samples whose text is stored; the measures are of all."""


@frozen
class Sampled:
    """What was sampled, and how it came about."""

    samples: Samples
    film: dict[str, Any]
    """The first sample, see `Film.finish`."""


def sample(config: Config, model: Model, tokenizer: TrainedTokenizer, held_out: Tokens) -> Sampled:
    """Sample what ``config.sampling`` asks for.

    Args:
        config: of the run.
        model: a diffusion model.
        tokenizer: of the run.
        held_out: rows whose given parts samples are made from, where they have any; each of them
            is taken, spread evenly, before one is taken again.
    """
    sampling, mask_id = config.sampling, model.vocabulary.mask_id
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
    numbers, asked = _asked(config, tokenizer, held_out)
    columns = config.dataset.columns()
    film = Film(tokenizer, asked, of_rows=held_out.rows.has_given, columns=columns)
    generations = []
    began = time.perf_counter()
    for start in range(0, sampling.num_samples, sampling.batch_size):
        part = asked[start : start + sampling.batch_size]
        x = part.ids.masked_fill(part.targets, mask_id).to(model.device)
        seeds = [row_seed(config.seed, row) for row in range(start, start + len(part))]
        callback = film.record if start == 0 else None
        generations.append(
            core.sample(
                x, ~part.targets.to(x.device), seeds=seeds, callback=callback, scored=start == 0
            )
        )
    seconds = time.perf_counter() - began
    ids = torch.cat([generation.ids for generation in generations]).cpu()
    sequences = ended(attrs.evolve(asked, ids=ids), tokenizer.vocabulary.eos_id)
    if not held_out.framing.documents:
        sequences = Sequences(ids, asked.valid)
    texts = texts_of(sequences, tokenizer, held_out.framing)
    completions = []
    for number, text, row in zip(numbers, texts, range(len(ids)), strict=False):
        answer = tokenizer.decode(ids[row][sequences.targets[row]].numpy())
        completions.append(Completion(held_out.row(number, tokenizer), text, answer))
    samples = Samples(
        sequences,
        texts,
        nfe=sum(generation.nfe for generation in generations) / len(generations),
        seconds=seconds,
        dtype="float64",
        completions=tuple(completions),
    )
    return Sampled(samples, film.finish())


def _asked(
    config: Config, tokenizer: TrainedTokenizer, held_out: Tokens
) -> tuple[Sequence[int], Sequences]:
    """What is to be filled in: the targets of held-out rows, and the numbers of these; or texts."""
    count, length = config.sampling.num_samples, config.sampling.length or config.diffusion.length
    if held_out.rows.has_given:
        rows = len(held_out.rows)
        chosen = spread(rows, min(count, rows))
        chosen = chosen[np.arange(count) % len(chosen)]
        return chosen.tolist(), held_out.sequences(length, rows=chosen)
    ids = torch.full((count, length), tokenizer.vocabulary.mask_id)
    targets = torch.ones_like(ids, dtype=torch.bool)
    if held_out.framing.documents:
        ids[:, 0], targets[:, 0] = tokenizer.vocabulary.bos_id, False
    return (), Sequences(ids, torch.ones_like(targets), targets)


def ended(sequences: Sequences, eos_id: int) -> Sequences:
    """Sequences whose targets end with the first end token that is one."""
    ends = (sequences.ids == eos_id) & sequences.targets
    targets = sequences.targets & (ends.cumsum(-1) - ends.long() == 0)
    return Sequences(sequences.ids, sequences.valid, targets)


def texts_of(
    sequences: Sequences, tokenizer: TrainedTokenizer, framing: Framing
) -> tuple[str, ...]:
    """The text of each sequence: of a row, up to its end."""
    if not framing.documents:
        return tuple(tokenizer.decode_batch(sequences.ids.numpy()))
    pairs = zip(sequences.ids.numpy(), stops(sequences), strict=True)
    return tuple(tokenizer.decode(ids[:stop]) for ids, stop in pairs)


def stops(sequences: Sequences) -> list[int]:
    """The position behind the last target of each sequence."""
    return (sequences.targets.long().cumsum(-1).argmax(-1) + 1).tolist()
