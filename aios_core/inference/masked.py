"""The diffusion path of the engine: rows with masks in, texts out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from attrs import evolve, frozen
from torch import Tensor

from aios_core.contracts import Condition
from aios_core.diffusion.core import DiffusionCore
from aios_core.inference.flips import FlipCounter

if TYPE_CHECKING:
    from aios_core.config.schema import Config
    from aios_core.contracts import Controls, Denoiser, Sampler
    from aios_core.diffusion.caching import Caching
    from aios_core.diffusion.model import Model
    from aios_core.inference.constraints import TextConstraint
    from aios_core.inference.memory import MemoryConditioner
    from aios_core.inference.output import Update
    from aios_core.inference.progress import Progress
    from aios_core.inference.prompts import Row


@frozen(eq=False)
class Batch:
    """Rows as tensors, padded on the right."""

    x: Tensor
    """(B, L) int64."""
    fixed: Tensor
    """(B, L) bool, padding included."""
    valid: Tensor
    """(B, L) bool, False at padding."""
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, rows: Sequence[Row], pad_id: int, device: torch.device) -> Batch:
        """Rows of any lengths."""
        lengths = tuple(len(row.ids) for row in rows)
        width = max(lengths)
        ids = [[*row.ids, *[pad_id] * (width - len(row.ids))] for row in rows]
        fixed = [[*row.fixed, *[True] * (width - len(row.ids))] for row in rows]
        ends = torch.tensor(lengths, device=device)[:, None]
        valid = torch.arange(width, device=device) < ends
        return cls(
            torch.tensor(ids, device=device), torch.tensor(fixed, device=device), valid, lengths
        )

    @property
    def condition(self) -> Condition | None:
        """What the network must be told of the padding."""
        return None if bool(self.valid.all()) else Condition(self.valid)

    def rows(self, values: Tensor) -> list[Any]:
        """(B, L) values as lists without the padding."""
        pairs = zip(values.tolist(), self.lengths, strict=True)
        return [row[:length] for row, length in pairs]


@frozen(eq=False)
class MaskedRun:
    """All that a batch needs besides its rows."""

    model: Model
    config: Config
    sampler: Sampler
    temperature: float
    controls: Controls
    block_size: int | None
    cache: Caching
    wrap: Callable[[Denoiser, Batch], Denoiser]
    """Guidance by the prompt."""
    memory: MemoryConditioner | None
    constraint: TextConstraint | None
    count_flips: bool = False

    def stream(self, progress: Progress, *, all_states: bool) -> Iterator[Update]:
        """Write a batch, and stop when nothing more can belong to a text.

        A token that was written stays as it is unless the sampler masks again, so a text is whole
        as soon as an end-of-text token has no mask in front of it.

        Args:
            progress: the rows.
            all_states: yield every state; otherwise the last alone.
        """
        vocabulary = self.model.vocabulary
        batch = Batch.of(progress.rows, vocabulary.pad_id, self.model.device)
        memories = None
        if self.memory is None:
            denoiser = self.wrap(self.model.denoiser(batch.condition, cache=self.cache), batch)
        else:
            memories = self.memory.memories(progress.rows)
            denoiser = self.memory.denoiser(memories, batch.condition, self.cache)
        counter = FlipCounter(denoiser, vocabulary.mask_id) if self.count_flips else None
        draws, denoiser = None, counter or denoiser
        if self.constraint is not None:
            begins = [self.constraint.start(row) for row in progress.rows]
            places = torch.arange(batch.x.shape[1], device=batch.x.device)
            active = batch.valid & (places >= torch.tensor(begins, device=places.device)[:, None])
            free = None if self.model.process.absorbing else ~batch.fixed
            constraint = self.constraint.on_tokens
            denoiser, draws = constraint.begin(denoiser, active, vocabulary.mask_id, free)
        core = DiffusionCore(
            denoiser,
            self.sampler,
            self.model.noise,
            vocabulary.mask_id,
            temperature=self.temperature,
            spacing=self.config.sampling.spacing,
            controls=self.controls,
            block_size=self.block_size,
            process=self.model.process,
        )
        settled = self.model.process.absorbing and not self.sampler.remasks
        for state in core.stream(
            batch.x, batch.fixed, seeds=progress.seeds, lengths=batch.lengths, draws=draws
        ):
            rows = batch.rows(state.ids)
            if all_states:
                new = batch.rows(state.committed)
                yield progress.update(state.step, state.nfe, rows, new, settled=settled)
            if settled and all(progress.complete(number, row) for number, row in enumerate(rows)):
                break
        log_probs = state.confidence.log().masked_fill(batch.fixed, 0.0)
        output = progress.output(state.nfe, rows, batch.rows(log_probs), batch.rows(state.entropy))
        if self.memory is not None and memories is not None:
            lengths = [len(ids) for ids in output.token_ids]
            used = self.memory.used(memories, batch, state.ids, lengths)
            output = evolve(output, memories=tuple(used))
        if counter is not None and counter.flips is not None:
            counted = zip(batch.rows(counter.flips), output.token_ids, strict=True)
            output = evolve(output, flips=tuple(tuple(row[: len(ids)]) for row, ids in counted))
        if self.constraint is not None:
            self.constraint.verify(progress.rows, output)
        yield progress.finish(state.step, output)
