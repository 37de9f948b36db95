"""The diffusion path of the engine: rows with masks in, texts out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from attrs import evolve, frozen
from torch import Tensor

from aios_core.component import blamed
from aios_core.contracts import Condition
from aios_core.diffusion.core import DiffusionCore
from aios_core.inference.flips import FlipCounter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aios_core.config.schema import Config
    from aios_core.contracts import Caching, Controls, Cues, CueSource, Denoiser, Sampler
    from aios_core.diffusion.model import Model
    from aios_core.inference.constraints import TextConstraint
    from aios_core.inference.output import Output, Update
    from aios_core.inference.progress import Progress
    from aios_core.inference.prompts import PromptRow


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
    begin: int = 0
    """Begin tokens in front of every row."""

    @classmethod
    def of(cls, rows: Sequence[PromptRow], pad_id: int, device: torch.device) -> Batch:
        """Rows of any lengths."""
        lengths = tuple(len(row.ids) for row in rows)
        width = max(lengths)
        ids = [[*row.ids, *[pad_id] * (width - len(row.ids))] for row in rows]
        fixed = [[*row.fixed, *[True] * (width - len(row.ids))] for row in rows]
        ends = torch.tensor(lengths, device=device)[:, None]
        valid = torch.arange(width, device=device) < ends
        return cls(
            torch.tensor(ids, device=device),
            torch.tensor(fixed, device=device),
            valid,
            lengths,
            rows[0].begin,
        )

    @property
    def condition(self) -> Condition | None:
        """Condition that hides the padding; None where there is none."""
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
    """Guidance, by the prompt or by the cues."""
    cues: CueSource
    options: Mapping[str, Any]
    """Of the conditioner."""
    constraint: TextConstraint | None
    count_flips: bool = False

    @property
    def settled(self) -> bool:
        """Whether what is written stays as it is."""
        return self.model.process.absorbing and not self.sampler.remasks

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
        cues = self._cues(progress.rows)
        model = self.model.conditioned(cues)
        denoiser = self.wrap(model.denoiser(batch.condition, cache=self.cache), batch)
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
        settled = self.settled
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
        output = self._with_cues(output, cues, batch, progress.rows, state.ids)
        if counter is not None and counter.flips is not None:
            counted = zip(batch.rows(counter.flips), progress.rows, output.token_ids, strict=True)
            flips = (values[row.begin :][: len(ids)] for values, row, ids in counted)
            output = evolve(output, flips=tuple(map(tuple, flips)))
        if self.constraint is not None:
            self.constraint.verify(progress.rows, output)
        yield progress.finish(state.step, output)

    def _cues(self, rows: Sequence[PromptRow]) -> Cues | None:
        """Those of a batch, by what is given of each row."""
        with blamed(self.config.conditioner, "for_sampling"):
            return self.cues.for_sampling([row.given for row in rows], self.options)

    def _with_cues(
        self,
        output: Output,
        cues: Cues | None,
        batch: Batch,
        rows: Sequence[PromptRow],
        ids: Tensor,
    ) -> Output:
        """An output that says what its texts were written with."""
        if cues is None:
            return output
        pairs = zip(rows, output.token_ids, strict=True)
        lengths = [row.begin + len(ids) for row, ids in pairs]
        with blamed(self.config.conditioner, "used"):
            used = self.cues.used(cues, lambda given: self._score(given, batch, ids, lengths))
        return evolve(output, cues=tuple(used) or output.cues)

    @torch.no_grad()
    def _score(
        self, cues: Cues, batch: Batch, ids: Tensor, lengths: Sequence[int]
    ) -> NDArray[np.float64]:
        """Log-probability (B,) of what was written, all of it predicted at once.

        Args:
            cues: of the rows.
            batch: as it was before.
            ids: (B, L) int64, as it was written.
            lengths: tokens of each row that count.
        """
        process = self.model.process
        denoiser = self.model.conditioned(cues).denoiser(batch.condition)
        t, x = torch.ones(len(ids), dtype=torch.float64, device=ids.device), batch.x
        if not process.absorbing:  # noise is tokens then, the same ones for every question
            u = torch.rand(x.shape, generator=torch.Generator().manual_seed(0)).double()
            noise = process.prior(u.to(x.device))
            x = torch.where(x == self.model.vocabulary.mask_id, noise, x)
        log_probs = denoiser(x, t).gather(-1, ids[..., None])[..., 0]
        ends = torch.tensor(lengths, device=ids.device)[:, None]
        counted = ~batch.fixed & (torch.arange(ids.shape[1], device=ids.device) < ends)
        total = log_probs.double().masked_fill(~counted, 0).sum(-1)
        written: NDArray[np.float64] = total.cpu().numpy()
        return written
