"""From options to the run that honours them; what cannot be honoured is refused here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from aios_core.errors import InferenceError
from aios_core.inference.autoregressive import InferenceCore
from aios_core.inference.causal import CausalRun
from aios_core.inference.masked import MaskedRun

if TYPE_CHECKING:
    from aios_core.config import Resolved
    from aios_core.contracts import Sampler
    from aios_core.inference.settings import Settings
    from aios_core.training.checkpoint import Checkpoint


def plan(found: Checkpoint, settings: Settings) -> CausalRun | MaskedRun:
    """How a model writes batches.

    Args:
        found: the model.
        settings: options, the unset ones as its configuration has them.

    Raises:
        InferenceError: an option is out of its range, or the sampler cannot honour it.
    """
    sampling = found.resolved.config.sampling
    temperature = settings.temperature
    temperature = sampling.temperature if temperature is None else temperature
    controls = settings.controls(sampling)
    if found.model.mode == "ar":
        return CausalRun(InferenceCore(found.model, temperature=temperature, controls=controls))
    return MaskedRun(
        model=found.model,
        config=found.resolved.config,
        sampler=choose_sampler(found.resolved, settings),
        temperature=temperature,
        controls=controls,
        block_size=settings.block_size or sampling.block_size,
        wrap=lambda denoiser, _: denoiser,
    )


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
