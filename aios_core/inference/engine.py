"""ArrowEngine: the one class that most people touch."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from aios_core.allocation import answer_bytes, enough_memory
from aios_core.errors import InferenceError
from aios_core.inference import package
from aios_core.inference.embed import embed
from aios_core.inference.gaps import infilling, likeliest
from aios_core.inference.likelihood import DRAWS, Likelihoods, asked_behind, log_likelihoods
from aios_core.inference.loading import check_together, ready, switched
from aios_core.inference.output import Mode, Output, Update
from aios_core.inference.plan import plan
from aios_core.inference.progress import Progress
from aios_core.inference.prompts import (
    Prompt,
    PromptRow,
    asked,
    encoded,
    is_text,
    prompted,
    rows_from_ids,
)
from aios_core.inference.settings import DIFFUSION_ONLY, Settings
from aios_core.inference.windows import WindowedRun
from aios_core.training import checkpoint, cues

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aios_core.config.schema import Config
    from aios_core.contracts import CueSource, TrainedTokenizer
    from aios_core.inference.causal import CausalRun
    from aios_core.inference.masked import MaskedRun
    from aios_core.registry import Registry
    from aios_core.training.checkpoint import Checkpoint


log = logging.getLogger(__name__)

_ANSWERED: Final = 80
"""Bytes of a token in an `Output`, at least: an id, a flag, and two numbers of Python."""

_MADE_BY: Final[Mapping[Mode, str]] = {
    "ar": "a run of its configuration with evaluation.twin = true trains an autoregressive twin "
    "as well, which writes from left to right",
    "diffusion": "a run of its configuration with mode = 'diffusion' trains a model that does",
}
"""What to do for a model that writes in a mode."""

_LINES: Final = 10
"""Most log lines about texts that are written."""


class ArrowEngine:
    """Trained models, ready to write: autoregressive, by diffusion, or both.

        engine = ArrowEngine.load("runs/text")
        engine.generate("Return the", max_new_tokens=20, mode="ar").texts
        engine.diffuse("Return the", num_inference_steps=16, temperature=0.8).texts
        engine.infill("Return ___ if the file <mask:4> exists.").texts
        engine.diffuse("The gate", conditioned=True, guidance_scale=2).cues

    Prompts are a text, several texts, token ids, or several rows of them; answers have an entry
    for each row. Of a run that learned answers, a text is what is asked: it is put into the prompt
    of the data set, or into a user's turn of its chats; other columns and other turns are given as
    the data has them, ``{"question": "...", "context": "..."}``, ``{"messages": [...]}``.
    Names of special tokens in a text are text; who means the tokens gives ids.
    Options are the fields of `Settings`. Everything that cannot be done is an `InferenceError`
    before any computation.

    Args:
        models: by mode; their tokenizers must be the same.
        mode: of `generate` and `stream` where the caller names none; unset: the only one, or
            diffusion.
        context: most tokens of a text, prompt and all, without a begin token; unset: as many as in
            training. What is longer is written by diffusion in windows of half a training's text
            each; where something is asked of the whole, as a constraint, or the twin writes, at
            once, with a warning.
        memory: place that the cues of ``conditioned`` texts come from, opened when there is such a
            text; for memories a store: ``"notes"``, ``"lancedb:notes"``; unset: that of the
            training.

    Attributes:
        models: what was loaded, by mode.
        tokenizer: of all of them.
        mode: see above.
        context: see above.
    """

    def __init__(
        self,
        models: Mapping[Mode, Checkpoint],
        *,
        mode: Mode | None = None,
        context: int | None = None,
        memory: str | Path | None = None,
    ) -> None:
        if not models:
            raise InferenceError("no model was given; expected one for 'ar', 'diffusion', or both")
        self.models = dict(models)
        self.mode: Mode = mode or ("diffusion" if "diffusion" in models else "ar")
        first = self.models[self.mode]
        check_together(self.models, first)
        self.tokenizer: TrainedTokenizer = first.tokenizer
        if context is not None and context < 1:
            raise InferenceError(f"context is {context}; expected 1 token or more")
        # A begin token stands in front of every text, where the network has learned so.
        self._begin = int(first.resolved.config.diffusion.packing == "documents")
        self._bos = [self.tokenizer.vocabulary.bos_id] * self._begin
        self.context = context or first.model.length - self._begin
        self._place = None if memory is None else str(memory)
        self._trained: Checkpoint | None = None

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        overrides: Sequence[str] = (),
        context: int | None = None,
        twin: bool | Path = True,
        evolved: bool = True,
        memory: str | Path | None = None,
        registry: Registry | None = None,
    ) -> Self:
        """Read what ``aios run`` left in a folder, with the autoregressive twin where it has one.

        Or the weight file that ``aios quantize`` made of it, which holds one model.

        Args:
            path: the folder of a run, or of one checkpoint; or a weight file.
            overrides: ``key=value`` each, on top of the run's configuration; only settings that
                do not affect training, as in ``sampler.type=confidence``.
            context: most tokens of a text, prompt and all; unset: as many as in training.
            twin: whether to read the twin, or its folder where that is not beside the model.
            evolved: with the skills that ``aios evolve`` has kept, or as it was trained.
            memory: as for the class.
            registry: where components are looked up; None discovers the installed ones.

        Raises:
            ModelLoadError: there is no model, or it is damaged.
            InferenceError: an override would change what was trained.
        """
        folder = Path(path)
        packed = package.is_package(folder)
        read = package.load if packed else checkpoint.load
        trained = read(folder, registry=registry)
        first = ready(trained, overrides, evolved=evolved and not packed)
        models = {first.model.mode: first}
        beside = twin if isinstance(twin, Path) else folder / "twin"
        if twin and "ar" not in models and checkpoint.latest(beside) is not None:
            models["ar"] = ready(checkpoint.load(beside, registry=registry), overrides)
        engine = cls(models, context=context, memory=memory)
        engine._trained = None if packed else trained
        return engine

    def use(self, skill: str | None = None) -> None:
        """Write with other skills from now on, at once: no weight of the model is read again.

        What is being written goes on with those it began with, and the run's HEAD stays.

        Args:
            skill: the beginning of an id that ``aios skill ls`` shows, which brings all that it was
                learned on; ``"base"``: none; unset: what HEAD names.

        Raises:
            InferenceError: the engine was not loaded from a run.
            EvolutionError: there is no such skill, it was revoked, or it is damaged.
        """
        if self._trained is None:
            raise InferenceError(
                "skills are those of a run; expected an engine loaded from its folder"
            )
        mode: Mode = self._trained.model.mode
        self.models[mode] = switched(self._trained, self.models[mode], skill)

    def generate(
        self,
        prompt: Prompt = "",
        *,
        mode: Mode | None = None,
        fallback: bool = False,
        **options: Any,
    ) -> Output:
        """Continue prompts.

        Args:
            prompt: see the class.
            mode: which model writes; unset: that of the engine.
            fallback: let the other model write where this mode is not loaded.
            **options: fields of `Settings`.

        Raises:
            InferenceError: this cannot be done; the message says why.
        """
        settings = Settings.of(options)
        mode = self._mode(mode, settings, fallback=fallback)
        return self._write(mode, self._prompted(prompt, settings), settings)

    def stream(
        self,
        prompt: Prompt = "",
        *,
        mode: Mode | None = None,
        fallback: bool = False,
        **options: Any,
    ) -> Iterator[Update]:
        """Like `generate`, yielding every state; the last `Update` holds the `Output`.

        Its ``deltas`` are what to append to a text that grows from the left; its ``token_ids``
        are the whole refinement, masks and all. All rows are written in one batch.
        """
        settings = Settings.of(options)
        mode = self._mode(mode, settings, fallback=fallback)
        rows = self._prompted(prompt, settings)
        # Errors come now, not with the first update.
        run = self._plan(mode, rows, settings, whole=False)
        seeds = settings.row_seeds(len(rows), self._config.seed)
        progress = Progress(mode, self.tokenizer, rows, seeds, self._eos(settings))
        return self._states(run, progress, all_states=True)

    def diffuse(
        self,
        prompt: Prompt = "",
        *,
        modality: str = "text",
        num_steps: int | None = None,
        fixed: Any = None,
        **options: Any,
    ) -> Output:
        """Write by diffusion: continue prompts, or fill in rows of tokens.

        Args:
            prompt: see the class; with ``fixed``, token ids with masks where text is wanted.
            modality: ``"text"``.
            num_steps: a short name of ``num_inference_steps``.
            fixed: (B, L) booleans, as nested lists, an array or a tensor: tokens that must not
                change. What is neither fixed nor a mask may be changed by samplers that remask.
            **options: fields of `Settings`.

        Raises:
            InferenceError: this cannot be done; the message says why.
        """
        if modality != "text":
            raise InferenceError(f"modality: expected 'text', got {modality!r}")
        if num_steps is not None:
            if "num_inference_steps" in options:
                raise InferenceError(
                    "num_steps and num_inference_steps are one setting; expected one of them"
                )
            options["num_inference_steps"] = num_steps
        settings = Settings.of(options)
        mode = self._mode("diffusion", settings)
        if fixed is None:
            return self._write(mode, self._prompted(prompt, settings), settings)
        settings.reject(("max_new_tokens",), "rows of ids have a length; leave it out with fixed")
        if is_text(prompt):
            raise InferenceError(
                "fixed goes with token ids; expected ids, masks where text is wanted"
            )
        mask_id = self.tokenizer.vocabulary.mask_id
        rows = rows_from_ids(encoded(self.tokenizer, prompt), fixed, mask_id)
        return self._write(mode, self._checked(rows, settings), settings, whole=True)

    def infill(self, text: str | Sequence[str], *, gap: int = 8, **options: Any) -> Output:
        """Fill in the gaps of texts; only diffusion can.

        Args:
            text: with gaps: ``___``, ``<mask>``, ``<mask:12>`` for twelve tokens, or ``<mask:*>``
                for as many, up to 32, as make the text behind it likeliest. A backslash in front of
                one makes it text.
            gap: tokens of a gap that does not say how many.
            **options: fields of `Settings`.

        Raises:
            InferenceError: this cannot be done; the message says why.
        """
        settings = Settings.of(options)
        mode = self._mode("diffusion", settings)
        settings.reject(("max_new_tokens",), "the gaps say how long the text is")
        settings.reject(("raw",), "texts with gaps stay what they are; leave it out")
        if gap < 1:
            raise InferenceError(f"gap is {gap}; expected 1 token or more")
        texts = [text] if isinstance(text, str) else text
        choose = likeliest(self.models[mode].model, self._bos, self._config.seed)
        rows = [infilling(self.tokenizer, row, gap, self.context, choose) for row in texts]
        return self._write(mode, self._checked(rows, settings), settings, whole=True)

    def likelihoods(
        self,
        prompt: str | Mapping[str, Any] | Sequence[int],
        candidates: Sequence[str] | Sequence[Sequence[int]],
        *,
        mode: Mode | None = None,
        raw: bool = False,
        draws: int = DRAWS,
        seed: int | None = None,
    ) -> Likelihoods:
        """How likely each candidate is behind a prompt, as for a question of multiple choice.

            engine.likelihoods("The gate ", ["opens.", "sings."]).best

        Exact by an autoregressive model; by diffusion, under any noise and in blocks, estimated
        with the same draws for all, so that differences are surer than the numbers themselves.

        Args:
            prompt: see the class; also none.
            candidates: what may follow, texts or token ids, none of them empty.
            mode: whose likelihood; unset: that of the engine.
            raw: as in `Settings`.
            draws: by diffusion, orders in which tokens are hidden, or draws of other noise, each
                of 8 calls of the network.
            seed: decides the draws; unset: that of the run.

        Raises:
            InferenceError: this cannot be done; the message says why.
        """
        mode = self._mode(mode, Settings())
        dataset = self._config.dataset
        (given,) = asked(dataset, self.tokenizer, prompt, raw=raw) if len(prompt) else ([],)
        questions = asked_behind(
            given, encoded(self.tokenizer, candidates), self.context, self._bos
        )
        seed = self._config.seed if seed is None else seed
        return log_likelihoods(self.models[mode].model, questions, draws=draws, seed=seed)

    def encode(self, texts: Prompt, *, mode: Mode | None = None) -> NDArray[np.float32]:
        """Texts as vectors: the mean of the network's states over the tokens, of length 1.

        Args:
            texts: none of them empty, or their token ids.
            mode: whose network; unset: that of the engine.

        Returns:
            (N, D) float32.

        Raises:
            InferenceError: a text is empty or longer than the context.
        """
        mode = self._mode(mode, Settings())
        rows = encoded(self.tokenizer, texts)
        for number, row in enumerate(rows):
            if not 1 <= len(row) <= self.context:
                raise InferenceError(
                    f"text {number} has {len(row)} tokens; expected 1 to {self.context}"
                )
        if self._begin:
            bos_id = self.tokenizer.vocabulary.bos_id
            rows = [row if row[0] == bos_id else [bos_id, *row] for row in rows]
        return embed(self.models[mode].model, rows)

    def _mode(self, mode: Mode | None, settings: Settings, *, fallback: bool = False) -> Mode:
        """The mode that writes, all options of which it can honour."""
        chosen = mode or self.mode
        if chosen not in ("ar", "diffusion"):
            raise InferenceError(f"mode {chosen!r} is unknown; expected 'ar' or 'diffusion'")
        if chosen not in self.models and fallback:
            chosen = self.mode
        if chosen not in self.models:
            raise InferenceError(
                f"`mode`: expected {self.mode!r}, the only model here, got {chosen!r}; "
                f"{_MADE_BY[chosen]}"
            )
        if chosen == "ar":
            settings.reject(DIFFUSION_ONLY, "autoregressive generation does not support it")
        return chosen

    def _prompted(self, prompt: Prompt, settings: Settings) -> list[PromptRow]:
        """A row for each text that is wanted, prompts repeated side by side."""
        length = self.sample_length
        rows = []
        for ids in asked(self._config.dataset, self.tokenizer, prompt, raw=settings.raw):
            count = settings.max_new_tokens or length - len(ids)
            if count < 1:
                raise InferenceError(
                    f"the prompt has {len(ids)} tokens and samples have {length}; expected a "
                    "shorter `prompt`, or a larger `max_new_tokens`"
                )
            rows.append(prompted(ids, count, self.tokenizer.vocabulary.mask_id))
        return self._checked(rows, settings)

    def _checked(self, rows: list[PromptRow], settings: Settings) -> list[PromptRow]:
        """Rows that fit into the context, each as often as is requested."""
        if not rows:
            raise InferenceError(
                "expected at least 1 prompt, got none; for an empty prompt give ''"
            )
        bos_id = self.tokenizer.vocabulary.bos_id
        rows = [row.begun(bos_id) for row in rows] if self._begin else rows
        for number, row in enumerate(rows):
            if (size := len(row.ids) - row.begin) > self.context:
                raise InferenceError(
                    f"row {number} would have {size} tokens, {len(row.given)} of them given; the "
                    f"context is {self.context}, expected a text that fits into it"
                )
        count = len(rows) * settings.num_return_sequences
        tokens = max(len(row.ids) for row in rows)
        with enough_memory(
            InferenceError,
            f"{count:,} texts of {tokens:,} tokens",
            "use a smaller `num_return_sequences`, or shorter texts",
            at_least=count * tokens * _ANSWERED,
        ):
            return [row for row in rows for _ in range(settings.num_return_sequences)]

    @property
    def sample_length(self) -> int:
        """Tokens of a text, prompt and all, without a begin token, where nobody says how many."""
        config = self._config
        return (config.sampling.length or config.diffusion.length) - self._begin

    @property
    def _config(self) -> Config:
        return self.models[self.mode].resolved.config

    def _eos(self, settings: Settings) -> int | None:
        return None if settings.ignore_eos else self.tokenizer.vocabulary.eos_id

    @cached_property
    def cues(self) -> CueSource:
        """Where the cues of ``conditioned`` texts come from, open for reading.

        Raises:
            AIOSError: it cannot be used, or is not of what the network was trained with.
        """
        model = self.models["diffusion"]
        config, maker = model.resolved.config, model.state.embedding
        return cues.source(config, self.tokenizer, place=self._place, maker=maker)

    def _plan(
        self, mode: Mode, rows: list[PromptRow], settings: Settings, *, whole: bool
    ) -> CausalRun | MaskedRun | WindowedRun:
        return plan(
            self.models[mode],
            settings,
            rows,
            whole=whole,
            context=self.context,
            cues=lambda: self.cues,
        )

    def _write(
        self, mode: Mode, rows: list[PromptRow], settings: Settings, *, whole: bool = False
    ) -> Output:
        """Write all rows, in batches of the configured size; whole texts have no early end."""
        seeds = settings.row_seeds(len(rows), self._config.seed)
        run = self._plan(mode, rows, settings, whole=whole)
        eos_id = None if whole else self._eos(settings)
        size = self.models[mode].resolved.config.sampling.batch_size
        parts, callback = [], settings.callback_on_step_end
        for start in range(0, len(rows), size):
            batch = slice(start, start + size)
            progress = Progress(mode, self.tokenizer, rows[batch], seeds[batch], eos_id)
            for update in self._states(run, progress, all_states=callback is not None):
                if callback is not None:
                    callback(update)
                if update.output is not None:
                    parts.append(update.output)
            done = min(start + size, len(rows))
            if len(rows) > size and done * _LINES // len(rows) > start * _LINES // len(rows):
                log.info("%s of %s texts are written", f"{done:,}", f"{len(rows):,}")
        return Output.join(parts)

    def _states(
        self, run: CausalRun | MaskedRun | WindowedRun, progress: Progress, *, all_states: bool
    ) -> Iterator[Update]:
        """The states of a batch; of one that takes too much memory, what to make smaller."""
        rows, length = len(progress.rows), max(len(row.ids) for row in progress.rows)
        trained = self.models[progress.mode].model.length
        if length > trained and not isinstance(run, WindowedRun):
            log.warning(
                "texts of %s tokens are longer than those of the training, of %s; what follows "
                "there may make no sense, and the time of a step grows with the square of them",
                f"{length - self._begin:,}",
                f"{trained - self._begin:,}",
            )
        at_once = 1 if progress.mode == "ar" else getattr(run, "block_size", None) or length
        with enough_memory(
            InferenceError,
            f"writing {rows:,} texts of {length:,} tokens at once",
            "use a smaller sampling.batch_size, or shorter texts",
            at_least=answer_bytes(rows, at_once, self.tokenizer.vocabulary.size),
            device=self.models[progress.mode].model.device,
        ):
            yield from run.stream(progress, all_states=all_states)
