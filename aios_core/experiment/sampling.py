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
from aios_core.experiment.left_to_right import filled_in
from aios_core.training.tokens import spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

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
        model: a diffusion model; or an autoregressive one, where the rows have given parts.
        tokenizer: of the run.
        held_out: rows whose given parts samples are made from, where they have any; each of them
            is taken, spread evenly, before one is taken again.
    """
    sampling = config.sampling
    numbers, asked = _asked(config, tokenizer, held_out)
    columns = config.dataset.columns()
    film = Film(tokenizer, asked, of_rows=held_out.rows.has_given, columns=columns)
    parts: list[Tensor] = []
    calls: list[int] = []
    began = time.perf_counter()
    for start in range(0, sampling.num_samples, sampling.batch_size):
        part = asked[start : start + sampling.batch_size]
        seeds = [row_seed(config.seed, row) for row in range(start, start + len(part))]
        if model.mode == "ar":
            made, nfe = filled_in(config, model, part, seeds)
        else:
            made, nfe = _denoised(config, model, part, seeds, film if start == 0 else None)
        parts.append(made)
        calls.append(nfe)
    seconds = time.perf_counter() - began
    ids = torch.cat(parts).cpu()
    sequences = ended(attrs.evolve(asked, ids=ids), tokenizer.vocabulary.eos_id)
    if not held_out.framing.documents:
        sequences = Sequences(ids, asked.valid)
    samples = _samples(sequences, numbers, tokenizer, held_out)
    mean = sum(calls) / len(calls)
    samples = attrs.evolve(samples, nfe=mean, seconds=seconds, dtype="float64")
    return Sampled(samples, film.finish() if model.mode == "diffusion" else {})


def answers(config: Config, tokenizer: TrainedTokenizer, held_out: Tokens) -> Samples:
    """What the held-out rows that samples are made from have in the places of the targets."""
    numbers, asked = _asked(config, tokenizer, held_out)
    rows = min(len(asked), len(held_out.rows))
    return _samples(asked[:rows], numbers[:rows], tokenizer, held_out)


def _samples(
    sequences: Sequences, numbers: Sequence[int], tokenizer: TrainedTokenizer, held_out: Tokens
) -> Samples:
    """Sequences with their texts; and each beside its row, by number, where there are rows."""
    texts, completions = texts_of(sequences, tokenizer, held_out.framing), []
    for number, text, ids, targets in zip(
        numbers, texts, sequences.ids, sequences.targets, strict=False
    ):
        answer = tokenizer.decode(ids[targets].numpy())
        completions.append(Completion(held_out.row(number, tokenizer), text, answer))
    return Samples(sequences, texts, 0, 0.0, "none", tuple(completions))


def _denoised(
    config: Config, model: Model, asked: Sequences, seeds: Sequence[int], film: Film | None
) -> tuple[Tensor, int]:
    """Rows whose targets a sampler filled in, and the calls of the network."""
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
    x = asked.ids.masked_fill(asked.targets, mask_id).to(model.device)
    generation = core.sample(
        x,
        ~asked.targets.to(x.device),
        seeds=seeds,
        callback=film.record if film else None,
        scored=film is not None,
    )
    return generation.ids, generation.nfe


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
