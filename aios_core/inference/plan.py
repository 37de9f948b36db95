"""From options to the run that honours them; what cannot be honoured is refused here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from aios_core.contracts import CueSource
from aios_core.errors import InferenceError
from aios_core.inference.autoregressive import InferenceCore
from aios_core.inference.causal import CausalRun
from aios_core.inference.constraints import TextConstraint
from aios_core.inference.masked import MaskedRun
from aios_core.inference.prompt_guidance import guided_by_cues, guided_by_prompt
from aios_core.inference.prompts import asked
from aios_core.inference.settings import CONSTRAINTS
from aios_core.inference.windows import WindowedRun, slide

if TYPE_CHECKING:
    from aios_core.config import Resolved
    from aios_core.config.schema import SamplingConfig
    from aios_core.contracts import Caching, Denoiser, Sampler
    from aios_core.inference.masked import Batch
    from aios_core.inference.prompts import PromptRow
    from aios_core.inference.settings import Settings
    from aios_core.training.checkpoint import Checkpoint


def plan(
    trained: Checkpoint,
    settings: Settings,
    rows: Sequence[PromptRow],
    *,
    whole: bool,
    context: int,
    cues: Callable[[], CueSource],
) -> CausalRun | MaskedRun | WindowedRun:
    """How a model writes batches.

    Args:
        trained: the model.
        settings: options, the unset ones as its configuration has them.
        rows: all that is to be completed.
        whole: texts are filled as they are; otherwise prompts are continued.
        context: most tokens of a text.
        cues: opens where the cues of rows come from.

    Raises:
        InferenceError: an option is out of its range, or cannot be honoured for these rows.
    """
    sampling = trained.resolved.config.sampling
    temperature = settings.temperature
    temperature = sampling.temperature if temperature is None else temperature
    controls = settings.controls(sampling)
    vocabulary = trained.model.vocabulary
    if problem := controls.fault(vocabulary.size, vocabulary.mask_id):
        raise InferenceError(problem)
    constraint = TextConstraint.of(
        settings, controls, trained.tokenizer, trained.resolved.registry, whole=whole
    )
    if constraint is not None:
        constraint.check(rows)
    if trained.model.mode == "ar":
        core = InferenceCore(trained.model, temperature=temperature, controls=controls)
        return CausalRun(core, constraint)
    if not trained.model.process.absorbing:
        settings.reject(
            ("count_flips",), "counts while a token is masked, and this noise has no masks"
        )
    run = MaskedRun(
        model=trained.model,
        config=trained.resolved.config,
        sampler=choose_sampler(trained.resolved, settings),
        temperature=temperature,
        controls=controls,
        block_size=trained.model.sampled_in(settings.block_size or sampling.block_size),
        cache=_cache(settings, sampling),
        wrap=_guidance(trained, settings, rows, whole=whole, context=context),
        cues=_cues(trained, cues) if settings.conditioned else CueSource(),
        options=settings.condition or {},
        constraint=constraint,
        count_flips=settings.count_flips,
    )
    longer = max(len(row.ids) for row in rows) > trained.model.length
    return WindowedRun(run) if longer and slide(run, settings, rows) else run


def _cues(trained: Checkpoint, cues: Callable[[], CueSource]) -> CueSource:
    """Where the cues of rows come from, for a network that reads any."""
    if trained.model.conditioner is None:
        raise InferenceError(
            f"conditioned: {trained.folder} was trained without cues, as memories; expected a "
            "run with a [conditioner]"
        )
    return cues()


def _cache(settings: Settings, sampling: SamplingConfig) -> Caching:
    """Which cache, if any; it remembers one reading of the text and knows no other rules."""
    cache = sampling.cache if settings.cache is None else settings.cache
    if cache != "none":
        if settings.block_size is None and sampling.block_size is None:
            raise InferenceError(
                f"cache {cache!r} is for writing in blocks; expected a block_size as well"
            )
        settings.reject(CONSTRAINTS, f"needs all of the text, which {cache!r} caches")
        if settings.gamma != 1:
            raise InferenceError(
                f"cache {cache!r} remembers one reading of the text, and guidance needs two; "
                "expected one or the other"
            )
    return cache


def _guidance(
    trained: Checkpoint, settings: Settings, rows: Sequence[PromptRow], *, whole: bool, context: int
) -> Callable[[Denoiser, Batch], Denoiser]:
    gamma, negative = settings.gamma, None
    if gamma == 1:
        return lambda denoiser, _: denoiser
    if settings.conditioned:
        return lambda denoiser, batch: guided_by_cues(trained.model, denoiser, batch, gamma)
    if not all(row.given for row in rows):
        raise InferenceError(
            "guidance requires a prompt, but a row is fully masked; expected prompts"
        )
    if settings.negative_prompt is not None:
        (negative,) = asked(
            trained.resolved.config.dataset,
            trained.tokenizer,
            settings.negative_prompt,
            raw=settings.raw,
        )
        if whole:
            raise InferenceError(
                "negative_prompt: stands for a prompt, and texts with gaps have none"
            )
        longest = max(len(row.ids) - len(row.prompt) for row in rows) + len(negative)
        if not negative or longest > context:
            raise InferenceError(
                f"negative_prompt has {len(negative)} tokens, with the answer {longest}; expected "
                f"at least one, and the context is {context}"
            )
        if rows[0].begin:
            negative = [trained.model.vocabulary.bos_id, *negative]
    return lambda denoiser, batch: guided_by_prompt(trained.model, denoiser, batch, gamma, negative)


def choose_sampler(resolved: Resolved, settings: Settings) -> Sampler:
    """The configured sampler, or the one that is asked for, with as many steps as are asked for.

    Raises:
        InferenceError: it has no number of steps.
        PluginError: there is none of that name.
    """
    sampler: Any = resolved.config.sampler
    if isinstance(settings.sampler, str):
        sampler = resolved.registry.get("sampler", settings.sampler).load()()
    elif settings.sampler is not None:
        sampler = settings.sampler
    if settings.num_inference_steps is not None:
        if "steps" not in attrs.fields_dict(type(sampler)):
            raise InferenceError(
                f"num_inference_steps: {type(sampler).__name__} has no number of steps; leave it "
                "out, or choose another sampler"
            )
        sampler = attrs.evolve(sampler, steps=settings.num_inference_steps)
    chosen: Sampler = sampler
    return chosen
