"""The typed sections of a configuration file, one attrs class each.

A field's type, validator and the string below it are its whole specification: the reader checks
files against them, `aios config schema` prints them as JSON Schema. Sections that hold a component
(``[noise]``, ``[sampler]``, ...) take the fields of whichever class ``type`` names.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs
from attrs import Attribute, field, frozen, validators

from aios_core.component import described
from aios_core.contracts import (
    Backbone,
    Caching,
    Conditioner,
    Controls,
    Corruption,
    Curve,
    Dataset,
    EmbeddingProvider,
    EvolutionLevel,
    EvolutionPolicy,
    Executor,
    LrSchedule,
    Metric,
    Modality,
    NoiseScheduler,
    Objective,
    Optimizer,
    ProjectionHead,
    Quantizer,
    Report,
    Sampler,
    Spacing,
    StorageBackend,
    Task,
    Tokenizer,
    Tracker,
    Vocabulary,
)
from aios_core.contracts.soundness import fault
from aios_core.kinds import Affects, Kind

if TYPE_CHECKING:
    from aios_core.registry import Registry

_NO_EFFECT: Final = {"affects": "nothing"}
"""On a single field: unlike the rest of its section, it makes nothing void."""

_ON_THE_WAY: Final = {"on_the_way": True}
"""On a field of ``[training]``: a run can go on with another value. Keys cover it all the same."""

MAX_SEED: Final = 2**63 - 1
"""What TOML can hold, and torch can take."""

_seed: Any = [validators.ge(0), validators.le(MAX_SEED)]
_count: Any = validators.and_(validators.ge(1), validators.le(10**9))
_size: Any = validators.and_(validators.ge(1), validators.le(2**20))  # of what is held in memory
_rate: Any = [validators.gt(0), validators.le(1e30)]  # float32 holds it, and its products
_nats: Any = [validators.ge(0), validators.le(1e3)]
_fraction: Any = [validators.ge(0), validators.lt(1)]


@frozen
class DiffusionConfig:
    """How the network is taught to denoise."""

    length: int = field(default=128, validator=_size)
    """L, tokens a training sequence."""
    packing: Literal["documents", "stream"] = "documents"
    """What a training sequence is. ``documents``: rows from their begin token, which is given, to
    their end token, which is learned; short ones share a sequence without seeing each other, longer
    ones are cut into windows. ``stream``: windows of all texts one behind the other, which begin
    and end anywhere, as samples then do."""
    times: Literal["stratified", "iid"] = "stratified"
    """How times are drawn: one in each of B equal strata, or independently."""
    time_epsilon: float = field(default=1e-4, validator=[validators.gt(0), validators.le(1e-3)])
    """Smallest time drawn; the NELBO differs by about this fraction, so at most 1e-3."""
    mask_rates: tuple[float, float] = field(default=(0.0, 1.0))
    """Mask rates between which training draws its times; evaluation always draws from all. Less
    than all lowers the variance of gradients (the clipped schedules of BD3-LM,
    arXiv 2503.09573)."""

    block_size: int | None = field(default=None, validator=validators.optional(_size))
    """Train a network that writes block by block, of so many tokens each, and reads each block once
    (BD3-LM, arXiv 2503.09573); a training step reads every text twice. 1 is autoregression by
    another name; unset: all of the text is one block."""

    @block_size.validator
    def _whole(self, attribute: Attribute[Any], value: int | None) -> None:
        if value is not None and self.length % value:
            raise ValueError(f"expected a divisor of length = {self.length}, got {value}")

    @mask_rates.validator
    def _rise(self, attribute: Attribute[Any], value: tuple[float, float]) -> None:
        if not 0 <= value[0] < value[1] <= 1:
            raise ValueError(f"expected two rising numbers from 0 to 1, got {list(value)}")


@frozen
class TrainingConfig:
    """The optimiser's loop."""

    steps: int = field(default=1000, validator=_count, metadata=_ON_THE_WAY)
    """Optimiser steps. A run can go on to more, also one that is finished, or to fewer, if they are
    not fewer than are done. Learning rates follow the new number from then on; with a schedule that
    gave the steps before other rates than a straight run has (``wsd`` does so in its decay alone,
    ``cosine`` after the warm-up), the run says so and goes on."""
    init_from: Path | None = None
    """Begin with the weights of another run (its folder, that of one of its checkpoints, or a file
    of weights), with a fresh optimizer; unset: with random ones. The tokenizer must be the same.
    Tensors fit by name and shape; what does not fit is named and begins anew. Results hold for the
    content of the weights, wherever they lie; a twin begins with random ones."""
    batch_size: int = field(default=32, validator=_size)
    """B, sequences a forward pass."""
    accumulate: int = field(default=1, validator=_size)
    """Forward passes a step, of `batch_size` sequences each: 4 passes of 4 learn what one of 16
    does, to rounding, unless the backbone drops out."""
    learning_rate: float = field(default=2e-3, validator=_rate)
    """The peak, reached after the warm-up; ``[lr_schedule]`` says what follows."""
    warmup_steps: int = field(default=50, validator=[validators.ge(0), validators.le(10**9)])
    """Steps of linear warm-up."""
    weight_decay: float = field(default=0.1, validator=[validators.ge(0), validators.le(1e3)])
    """What matrices lose of themselves in a step of learning rate 1, and other weights do not."""
    clip_norm: float = field(default=1.0, validator=_rate)
    """Largest norm of the whole gradient."""
    ema_decay: float = field(default=0.99, validator=_fraction)
    """Of the moving average of the weights that evaluation and sampling use; 0 switches it off."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the forward pass; auto is bfloat16 on CUDA and float32 elsewhere."""
    compile: bool = False
    """Run the network through torch.compile: faster on CUDA, after a first step of a minute."""
    gradient_checkpointing: bool = field(default=False, metadata=_ON_THE_WAY)
    """Compute each layer again in the backward pass instead of keeping what it computed: far less
    memory for about a third more time; gradients differ by rounding at most."""
    device: str = field(default="auto", metadata=_NO_EFFECT)
    """A torch device; auto is CUDA where there is one."""
    checkpoint_every: int = field(default=500, validator=_count, metadata=_NO_EFFECT)
    """Steps between checkpoints; there is always one at the end and one on Ctrl-C."""
    log_every: int = field(default=10, validator=_count, metadata=_NO_EFFECT)
    """Steps between records in metrics.jsonl."""
    evaluate_every: int = field(default=100, validator=_count, metadata=_ON_THE_WAY)
    """Steps between measurements of the held-out loss, with the averaged weights."""
    evaluate_windows: int = field(default=64, validator=_count, metadata=_ON_THE_WAY)
    """Held-out sequences it is measured on, spread evenly over the split."""
    keep: Literal["last", "best"] = field(default="last", metadata=_ON_THE_WAY)
    """Which step the run stands for: its last, or that with the lowest held-out loss, which is
    saved whenever there is a better one."""
    patience: int | None = field(
        default=None, validator=validators.optional(_count), metadata=_ON_THE_WAY
    )
    """Stop after so many measurements in a row without a lower held-out loss; unset: never."""


_share: Any = [validators.ge(0), validators.le(1e6)]


@frozen
class RolesConfig:
    """What is asked of rows of several modalities, how often: shares of the rows that are drawn.

    What a network is to be asked it must have seen: a share of 0 makes `aios sample` refuse it.
    """

    target: float = field(default=0.5, validator=_share)
    """One segment is made, given some or all of the others, and the rest is absent; in a quarter of
    these rows several are made, given one."""
    alone: float = field(default=0.1, validator=_share)
    """One segment is made, and nothing else is there; guidance asks this too."""
    joint: float = field(default=0.2, validator=_share)
    """Several segments are made, each at a time of its own; in half of these rows all are."""
    one_clock: float = field(default=0.2, validator=_share)
    """Likewise, at one time."""

    @one_clock.validator
    def _some(self, attribute: Attribute[Any], value: float) -> None:
        if not self.target + self.alone + self.joint + value > 0:
            raise ValueError("expected a share above 0 of at least one role")


@frozen
class SamplingConfig(Controls):
    """What is sampled for an evaluation, whichever sampler does it."""

    num_samples: int = field(default=16, validator=_size)
    """Texts to sample."""
    length: int | None = field(default=None, validator=validators.optional(_size))
    """Tokens a sample; unset: the length of the training sequences."""
    batch_size: int = field(default=16, validator=_size)
    """Texts sampled at once."""
    temperature: float = field(default=1.0, validator=[validators.ge(0), validators.le(1e6)])
    """Divides log-probabilities before a token is drawn; 0 takes the most probable one."""
    spacing: Spacing | Curve = field(default="uniform")
    """Of the sampler's time grid: ``uniform`` in time, ``cosine`` with small steps first, or
    ``information``: as many tokens in each step. Pairs of a share of masks and the nats that a
    token tells then, as the metric ``information`` measures them, give steps that tell as much."""
    block_size: int | None = field(default=None, validator=validators.optional(_size))
    """Fill in blocks of so many positions one after the other; unset: all at once."""
    cache: Caching = field(default="none")
    """While a block is filled in, do not read again what stands before it (``prefix``), or all
    outside it (``dual``): faster, and an approximation (arXiv 2505.22618)."""

    @cache.validator
    def _of_blocks(self, attribute: Attribute[Any], value: str) -> None:
        if value != "none" and self.block_size is None:
            raise ValueError(f"{value!r} is for writing in blocks; expected a block_size as well")

    @spacing.validator
    def _curve(self, attribute: Attribute[Any], value: Spacing | Curve) -> None:
        if isinstance(value, str):
            return
        rates = [rate for rate, _ in value]
        if not value or rates != sorted(set(rates)) or not (rates[0] >= 0 and rates[-1] <= 1):
            raise ValueError(f"expected shares of masks that rise between 0 and 1, got {rates[:9]}")
        if not all(0 < nats <= 1e6 for _, nats in value):
            raise ValueError("expected more than 0 nats at each share of masks, and at most 1e6")


@frozen
class EvaluationConfig:
    """How a trained network and its samples are measured."""

    twin: bool = True
    """Train an autoregressive twin (same data, tokenizer and backbone) and judge samples by it."""
    twin_seed: int = field(default=0, validator=_seed)
    """Seed of the twin: one judge for all seeds of an ablation."""
    draws: int = field(default=4, validator=_size)
    """Noisy states drawn a sequence for the NELBO."""
    batch_size: int = field(default=64, validator=_size)
    """Sequences a forward pass."""
    max_tokens: int | None = field(default=None, validator=validators.optional(_count))
    """Measure on the first so many held-out tokens; unset: on all."""
    guidance_scale: float = field(default=1.0, validator=[validators.ge(-1e6), validators.le(1e6)])
    """By which samples of several modalities follow what they are given; 1 is without guidance."""
    task: str | None = None
    """Measure on held-out rows as one of ``[tasks]`` turns them, those that serve it; unset: on all
    rows as they are."""


@frozen
class EvolutionConfig:
    """How the model may adapt after training, and what must be true for a change to stay."""

    level: str | None = None
    """Try this one of ``[[levels]]`` alone, whatever ``[policy]`` says."""
    share: float = field(default=0.1, validator=[validators.gt(0), validators.le(1)])
    """Most of the parameters that one adaptation may change or add."""
    steps: int = field(default=200, validator=_count)
    """Optimiser steps of one adaptation."""
    batch_size: int = field(default=16, validator=_size)
    """Rows of evidence a step."""
    fitting_windows: int = field(default=2048, validator=_count)
    """Most rows to learn from, and most of the base domain to replay."""
    windows: int = field(default=128, validator=[validators.ge(16), validators.le(10**9)])
    """Held-out rows that decide, and as many that report."""
    draws: int = field(default=8, validator=_size)
    """Noisy states drawn a row by the gate."""
    epsilon: float = field(default=0.0, validator=_nats)
    """Nats a token by which the target must improve at least."""
    base_tolerance: float = field(default=0.2, validator=_nats)
    """Nats a token by which the base domain may become worse."""
    confidence: float = field(default=0.95, validator=[validators.gt(0.5), validators.lt(1)])
    """Of both, over all gatings on the same texts."""


@frozen
class LoggingConfig:
    """What is logged, and how. ``AIOS_LOG`` and ``--log-level`` win over it."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level that is shown."""
    json: bool = False
    """One JSON object a line on stderr instead of text for people."""


@frozen
class PluginsConfig:
    """Which plugins this configuration relies on."""

    use: dict[str, str] = field(factory=dict)
    """Which distribution's component to take where several offer one name:
    ``"noise.cosine" = "their-dist"``."""
    require: tuple[str, ...] = ()
    """Distributions that must be installed, as requirements: ``"aios-cosine>=0.3"``."""


def section(cls: type, affects: Affects) -> Any:
    """A section with the fields of a class."""
    return field(factory=cls, metadata={"affects": affects})


@frozen(kw_only=True)
class Config:
    """A whole configuration, resolved: every component built, every default written out.

    Beside the sections below it has one for each kind of component that says so (see
    `aios_core.kinds`): `config_class` adds them.
    """

    name: str = field(
        default="run",
        validator=validators.matches_re(r"[A-Za-z0-9][A-Za-z0-9._-]*"),
        metadata={"affects": "nothing"},
    )
    """Of the run; its folder is ``runs/NAME`` unless ``--output`` says otherwise."""
    seed: int = field(default=0, validator=_seed, metadata={"affects": "training"})
    """Decides weights, batches, noise and samples."""
    mode: Literal["diffusion", "ar"] = field(default="diffusion", metadata={"affects": "training"})
    """Masked diffusion, or the autoregressive twin: the same network with a causal mask."""

    if TYPE_CHECKING:  # those of the core, for whoever reads them
        dataset: Dataset
        tokenizer: Tokenizer
        noise: NoiseScheduler
        corruption: Corruption
        objective: Objective
        head: ProjectionHead
        backbone: Backbone
        conditioner: Conditioner
        optimizer: Optimizer
        lr_schedule: LrSchedule
        sampler: Sampler
        quantizer: Quantizer
        modalities: tuple[Modality, ...]
        metrics: tuple[Metric, ...]
        levels: tuple[EvolutionLevel, ...]
        policy: EvolutionPolicy
        storage: StorageBackend
        embedding: EmbeddingProvider
        trackers: tuple[Tracker, ...]
        executor: Executor
        reports: tuple[Report, ...]

    evidence: tuple[Dataset, ...] = field(
        metadata={"kind": "dataset", "default": (), "affects": "evaluation", "many": True}
    )
    """Data sets that evolution adapts to."""
    roles: RolesConfig | None = field(default=None, metadata={"affects": "training"})
    """What is asked of rows of several modalities; unset: as its defaults say."""
    tasks: dict[str, Task] = field(factory=dict, metadata={"affects": "training"})
    """What is asked of the rows trained on, by name: of each row, whenever it is drawn, one of the
    tasks that it serves is drawn, as often as weights say; a row that serves none is as it is. One
    that names no segment leaves rows as they are."""
    diffusion: DiffusionConfig = section(DiffusionConfig, "training")
    training: TrainingConfig = section(TrainingConfig, "training")
    sampling: SamplingConfig = section(SamplingConfig, "evaluation")
    evaluation: EvaluationConfig = section(EvaluationConfig, "evaluation")
    evolution: EvolutionConfig = section(EvolutionConfig, "evaluation")
    logging: LoggingConfig = section(LoggingConfig, "nothing")
    plugins: PluginsConfig = section(PluginsConfig, "nothing")

    @evolution.validator
    def _offered(self, attribute: Attribute[Any], value: EvolutionConfig) -> None:
        if value.level is not None:
            names = [level.name for level in self.levels]
            if value.level not in names:
                known = ", ".join(names) or "one"
                raise ValueError(f"level: {value.level!r} is none of [[levels]]; expected {known}")

    @tasks.validator
    def _of_rows(self, attribute: Attribute[Any], value: dict[str, Task]) -> None:
        if value and self.diffusion.packing == "stream":
            raise ValueError(
                "a stream has no rows that anything is asked of; expected diffusion.packing = "
                "'documents'"
            )

    @evaluation.validator
    def _asked(self, attribute: Attribute[Any], value: EvaluationConfig) -> None:
        if value.task is not None and value.task not in self.tasks:
            known = ", ".join(self.tasks) or "one"
            raise ValueError(f"task: {value.task!r} is none of [tasks]; expected {known}")

    @diffusion.validator
    def _blocks(self, attribute: Attribute[Any], value: DiffusionConfig) -> None:
        if self.mode == "ar" or value.block_size is None:
            return
        if not self.corruption.absorbing:
            raise ValueError(
                "block_size: blocks are written by masks, and the corruption is "
                f"{type(self.corruption).__name__}; expected another corruption, or no blocks"
            )
        if not self.backbone.serves_masks:
            raise ValueError(
                f"block_size: {type(self.backbone).__name__} cannot limit what each position sees; "
                "expected another backbone, or no blocks"
            )

    @training.validator
    def _computed_again(self, attribute: Attribute[Any], value: TrainingConfig) -> None:
        if value.gradient_checkpointing and self.backbone.recomputed is None:
            raise ValueError(
                f"gradient_checkpointing: {type(self.backbone).__name__} names no layers to "
                "compute again, as its 'recomputed' may; expected another backbone, or leave it out"
            )

    @sampling.validator
    def _in_blocks(self, attribute: Attribute[Any], value: SamplingConfig) -> None:
        trained = self.diffusion.block_size
        if trained is not None and value.block_size not in {None, trained}:
            raise ValueError(
                f"block_size: {value.block_size} is not what the network is trained with; expected "
                f"diffusion.block_size = {trained}, or leave it out"
            )
        if value.block_size is not None and not self.corruption.absorbing:
            raise ValueError(
                "block_size: what lies ahead of a block must be masks, and the corruption is "
                f"{type(self.corruption).__name__}; leave it out"
            )


def _bounded(self: Config, _attribute: Attribute[Any], value: NoiseScheduler) -> None:
    if self.mode == "diffusion" and (problem := fault(value, self.diffusion.time_epsilon)):
        raise ValueError(f"{described(value)}: {problem}")


def _of_tokens(_self: Config, attribute: Attribute[Any], value: Any) -> None:
    if Vocabulary not in value.spaces:
        raise ValueError(
            f"{type(value).__name__} is for numbers, and the data are tokens; expected a "
            f"{attribute.name} of tokens"
        )


def _serves(self: Config, attribute: Attribute[Any], value: Sampler | Objective) -> None:
    _of_tokens(self, attribute, value)
    if self.mode == "diffusion" and value.absorbing_only and not self.corruption.absorbing:
        raise ValueError(
            f"{type(value).__name__} works with masks alone, and the corruption is "
            f"{type(self.corruption).__name__}; expected one that serves every corruption"
        )


def _heard(self: Config, _attribute: Attribute[Any], value: Conditioner) -> None:
    if self.mode == "diffusion" and (problem := value.fault(self.backbone)):
        raise ValueError(problem)


def _apart(_self: Config, _attribute: Attribute[Any], value: tuple[Metric, ...]) -> None:
    """Two metrics that give a value of one name cannot both be reported."""
    for index, metric in enumerate(value):
        for before, other in enumerate(value[:index]):
            if other.of == metric.of and other.names & metric.names:
                shared = ", ".join(sorted(other.names & metric.names))
                raise ValueError(
                    f"entries {before} and {index} both give {shared}; expected metrics whose "
                    "values have different names: remove one of the two"
                )


def _together(self: Config, _attribute: Attribute[Any], value: tuple[Modality, ...]) -> None:
    """What is refused before any data are read."""
    names = [modality.name for modality in value]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"two are named {twice[0]!r}; expected a `name` of its own for each")
    if not value:
        return
    if self.mode == "ar":
        raise ValueError("an autoregressive network is one of texts; expected mode = 'diffusion'")
    for number, modality in enumerate(value):
        noise = modality.noise
        if problem := fault(noise, self.diffusion.time_epsilon):
            raise ValueError(f"entry {number}: {described(noise)}: {problem}")
        spaces = {frozenset(part.spaces) for part in (modality.head, modality.corruption)}
        spaces.add(frozenset(modality.objective.spaces))
        if not frozenset.intersection(*spaces):
            raise ValueError(
                f"entry {number}: its head, corruption and objective are not all for tokens, or "
                "all for numbers; expected components of one space"
            )


_AGREES: Final[Mapping[str, Any]] = {
    "modalities": _together,
    "head": _of_tokens,
    "corruption": _of_tokens,
    "noise": _bounded,
    "objective": _serves,
    "conditioner": _heard,
    "metrics": _apart,
    "sampler": _serves,
}
"""What some components must agree with, by their section."""


@cache
def config_class(kinds: tuple[Kind, ...]) -> type[Config]:
    """The class of configurations that have a section for each of some kinds.

    Args:
        kinds: as `aios_core.registry.Registry.kinds` gives them.
    """
    sections: dict[str, Any] = {
        kind.section: field(
            validator=_AGREES.get(kind.section),
            metadata={
                "kind": kind.name,
                "default": kind.default,
                "affects": kind.affects,
                "many": kind.many,
            },
        )
        for kind in kinds
        if kind.section is not None
    }

    def order(_cls: type, attributes: list[Attribute[Any]]) -> list[Attribute[Any]]:
        """Components before the settings of the core, as a file shows them."""
        scalars = [
            attribute for attribute in attributes if attribute.name in {"name", "seed", "mode"}
        ]
        components = [attribute for attribute in attributes if "kind" in attribute.metadata]
        rest = [
            attribute
            for attribute in attributes
            if attribute not in scalars and attribute not in components
        ]
        return (
            scalars
            + sorted(components, key=lambda attribute: attribute.name not in sections)
            + rest
        )

    made = attrs.make_class(
        "Config",
        sections,
        bases=(Config,),
        frozen=True,
        kw_only=True,
        slots=True,
        field_transformer=order,
    )
    made.__doc__ = Config.__doc__
    return made


def config_of(registry: Registry) -> type[Config]:
    """The class of configurations that have a section for each kind of a registry."""
    return config_class(tuple(registry.kinds.values()))


RUNS: Final = Path("runs")
"""Where runs are written unless a command says otherwise."""
