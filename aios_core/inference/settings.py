"""What one may ask of the engine besides the prompt."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

import torch
from attrs import Attribute, field, fields_dict, frozen, validators

from aios_core.contracts import Caching, Controls
from aios_core.diffusion.random import row_seed
from aios_core.errors import InferenceError, refusal

if TYPE_CHECKING:
    from torch import Generator

    from aios_core.contracts import Sampler
    from aios_core.inference.output import Update

_at_least_1: Any = validators.optional(
    validators.and_(validators.instance_of(int), validators.ge(1))
)
_finite: Any = validators.optional(
    validators.and_(validators.instance_of((int, float)), validators.lt(float("inf")))
)

CONSTRAINTS = ("regex", "json_schema", "constraint")
"""Fields of `Settings` that say which texts may be written; a call has at most one."""


def _named_pattern(_: Settings, attribute: Attribute[str], value: object) -> None:
    if not isinstance(value, str) or not re.match("[^:]+:", value):
        raise ValueError(
            f"`{attribute.name}`: expected TYPE:PATTERN, as in 'regex:.*', got {value!r:.80}"
        )


@frozen(kw_only=True)
class Settings:
    """Options of a generation; what is unset is as the run was configured.

    Those of both modes mean the same in both. One that a mode cannot honour is an error there.
    """

    max_new_tokens: int | None = field(default=None, validator=_at_least_1)
    """Most tokens after the prompt; unset: as many as the length of samples has room for."""
    temperature: float | None = field(
        default=None, validator=[validators.optional(validators.ge(0)), _finite]
    )
    """Divides log-probabilities before a token is drawn; 0 takes the most probable one."""
    top_k: int | None = None
    """Draw one of the k likeliest tokens."""
    top_p: float | None = None
    """Draw one of the likeliest tokens that together have this probability, with the one that
    crosses it."""
    min_p: float | None = None
    """Draw no token less likely than this times the likeliest."""
    repetition_penalty: float | None = None
    """More than 1 avoids tokens that the row holds already."""
    suppress_tokens: Sequence[int] | None = None
    """Token ids that are never drawn."""
    raw: bool = field(default=False, validator=validators.instance_of(bool))
    """Continue texts as they are, without the template that the run's data set has for prompts."""
    ignore_eos: bool = False
    """Go on behind the end of a text, for exactly ``max_new_tokens``."""
    seed: int | None = None
    """Decides all rows, each through a seed of its own."""
    seeds: Sequence[int] | None = None
    """One for each row; a row depends on its own and on no other."""
    generator: Generator | None = None
    """Seeds are drawn from it; it must be on the CPU."""
    num_return_sequences: int = field(
        default=1, validator=[validators.instance_of(int), validators.ge(1)]
    )
    """Texts for each prompt."""
    callback_on_step_end: Callable[[Update], object] | None = None
    """Called with each state, what was given first."""
    constraint: str | None = field(default=None, validator=validators.optional(_named_pattern))
    """``TYPE:PATTERN``: the completion satisfies this pattern of a constraint, by its registry
    name; a text with gaps does as a whole."""
    regex: str | None = field(
        default=None, validator=validators.optional(validators.instance_of(str))
    )
    """Short for the constraint ``regex``: a regular expression."""
    json_schema: Mapping[str, Any] | None = None
    """Short for the constraint ``json-schema``: the schema, as what its JSON says."""

    num_inference_steps: int | None = field(default=None, validator=_at_least_1)
    """Diffusion only: steps of the sampler."""
    block_size: int | None = field(default=None, validator=_at_least_1)
    """Diffusion only: fill in blocks of so many positions one after the other."""
    cache: Caching | None = field(
        default=None, validator=validators.optional(validators.in_(get_args(Caching)))
    )
    """Diffusion only, with blocks: read again all (``"none"``), what does not stand before the
    present block (``"prefix"``), or that block alone (``"dual"``): approximations, and faster."""
    sampler: str | Sampler | None = None
    """Diffusion only: another sampler than the run's, by name or built."""
    guidance_scale: float | None = field(default=None, validator=_finite)
    """Diffusion only: gamma, 1 for the plain conditional model (the convention of diffusers)."""
    cfg_scale: float | None = field(default=None, validator=_finite)
    """Diffusion only: w = gamma - 1, 0 for the plain conditional model (that of LLaDA)."""
    negative_prompt: str | None = None
    """Diffusion only: guidance leads away from this prompt, instead of from none."""

    conditioned: bool = field(default=False, validator=validators.instance_of(bool))
    """Diffusion only: write with what the run's conditioner has for what is given, as memories;
    guidance then leads away from what the network says without. Also ``memory_guided``."""
    condition: Mapping[str, Any] | None = field(
        default=None, validator=validators.optional(validators.instance_of(dict))
    )
    """Options of the conditioner; unset: as in training. ``num_memories`` is its ``k``."""
    count_flips: bool = field(default=False, validator=validators.instance_of(bool))
    """Diffusion only, under masks: count how often each token's prediction changed on the way."""

    def __attrs_post_init__(self) -> None:
        """Refuse options that contradict each other."""
        for names in (("seed", "seeds", "generator"), CONSTRAINTS):
            given = [name for name in names if getattr(self, name) is not None]
            if len(given) > 1:
                raise ValueError(
                    f"{' and '.join(given)} contradict each other; expected one of them"
                )
        if self.guidance_scale is not None and self.cfg_scale is not None:
            raise ValueError(
                "guidance_scale and cfg_scale are one setting in two conventions "
                "(guidance_scale = cfg_scale + 1); expected one of them"
            )
        if self.condition is not None and not self.conditioned:
            raise ValueError("condition has no effect without conditioned")
        if self.conditioned and self.negative_prompt is not None:
            raise ValueError(
                "conditioned and negative_prompt each say what guidance leads away from; "
                "expected one of them"
            )
        if self.negative_prompt is not None and self.gamma == 1:
            raise ValueError("negative_prompt has no effect without a guidance_scale other than 1")

    @property
    def gamma(self) -> float:
        """The guidance scale in either convention."""
        if self.cfg_scale is not None:
            return self.cfg_scale + 1
        return 1.0 if self.guidance_scale is None else self.guidance_scale

    def row_seeds(self, rows: int, configured: int) -> list[int]:
        """A seed for each row.

        Raises:
            InferenceError: another number of seeds is given.
        """
        if self.seeds is not None:
            if len(self.seeds) != rows:
                raise InferenceError(f"{len(self.seeds)} seeds for {rows} rows; expected one each")
            return list(self.seeds)
        if self.generator is not None:
            drawn = torch.randint(2**62, (rows,), generator=self.generator)
            return [int(seed) for seed in drawn]
        seed = configured if self.seed is None else self.seed
        return [row_seed(seed, row) for row in range(rows)]

    def controls(self, configured: Controls) -> Controls:
        """What may be drawn: what is set here, and the rest as configured.

        Raises:
            InferenceError: a value is out of its range.
        """
        given = {
            name: getattr(configured if getattr(self, name) is None else self, name)
            for name in fields_dict(Controls)
        }
        try:
            given["suppress_tokens"] = tuple(given["suppress_tokens"])
            return Controls(**given)
        except (ValueError, TypeError) as error:
            raise InferenceError(refusal(error)) from error

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Settings:
        """Check options by name.

        Raises:
            InferenceError: one is unknown, out of its range, or contradicts another.
        """
        named = dict(options)
        if "memory_guided" in named:
            named["conditioned"] = named.pop("memory_guided")
        if (k := named.pop("num_memories", None)) is not None:
            named["condition"] = {"k": k}
        for name in named.keys() - fields_dict(cls).keys():
            near = difflib.get_close_matches(name, fields_dict(cls), n=1)
            known = (
                f"did you mean {near[0]}?" if near else f"known are {', '.join(fields_dict(cls))}"
            )
            raise InferenceError(f"{name}: is not an option; {known}")
        try:
            return cls(**named)
        except (ValueError, TypeError) as error:
            raise InferenceError(refusal(error)) from error

    def reject(self, names: Sequence[str], reason: str) -> None:
        """Refuse options that cannot be honoured.

        Raises:
            InferenceError: one of them is set.
        """
        for name in names:
            if getattr(self, name) != fields_dict(Settings)[name].default:
                raise InferenceError(f"{name}: {reason}")


DIFFUSION_ONLY = (
    "num_inference_steps",
    "block_size",
    "cache",
    "sampler",
    "guidance_scale",
    "cfg_scale",
    "negative_prompt",
    "conditioned",
    "condition",
    "count_flips",
)
"""Fields of `Settings` that autoregressive generation cannot honour."""
