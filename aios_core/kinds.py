"""Every kind of component, one row each: all that the rest of the core knows of it.

The sections of a configuration and what they make void, the hooks and their promises, listings,
JSON Schema, the conformance tests and the scaffold follow from these rows. A plugin adds a kind by
the hook ``aios_kinds``. Classes and modules are named as text, so that listing imports none.
"""

from __future__ import annotations

import inspect
import re
from typing import Any, Final, Literal

from attrs import Attribute, field, frozen, validators

Affects = Literal["training", "evaluation", "nothing"]
"""What a change of a section makes void: the trained checkpoint (and all after it), what was
measured with it, or nothing. Trials that agree in all that affects training share a checkpoint."""


def _like(pattern: str, example: str) -> Any:
    def check(_row: Kind, attribute: Attribute[str], value: object) -> None:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError(
                f"`{attribute.name}`: expected a name as in {example!r}, got {value!r}"
            )

    return check


_reference = _like(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", "module:Class")
_module = _like(r"[A-Za-z_][\w.]*", "package.module")


@frozen(kw_only=True)
class Kind:
    """A kind of component."""

    name: str = field(validator=_like("[a-z][a-z0-9_]*", "noise"), kw_only=False)
    """Singular; the first half of a pin such as ``"noise.cosine"``."""
    hook: str = field(validator=_like("aios_[a-z0-9_]+", "aios_samplers"))
    """That collects components of this kind: the name of a function of a plugin."""
    contract: str = field(validator=_reference)
    """``"module:Class"`` that its components subclass."""
    promise: str = field(validator=validators.min_len(1), converter=inspect.cleandoc)
    """What the hook collects, and what an implementation promises."""
    default: str | tuple[str, ...] | None = None
    """Name of the component that a configuration holds where it names none; names, where it holds
    several. None: no configuration holds one."""
    affects: Affects = field(
        default="nothing", validator=validators.in_(("training", "evaluation", "nothing"))
    )
    """What a change of its section makes void."""
    suite: str | None = field(default=None, validator=validators.optional(_reference))
    """``"module:Class"`` of the tests that each of its components passes; None: there are none."""
    example: str | None = field(default=None, validator=validators.optional(_module))
    """Module with a whole plugin, which ``aios plugins new`` begins with; None: there is none."""

    @property
    def many(self) -> bool:
        """Whether a configuration holds several."""
        return isinstance(self.default, tuple)

    @property
    def section(self) -> str | None:
        """Where a configuration holds it: ``[noise]``, ``[[metrics]]``; None: nowhere."""
        if self.default is None:
            return None
        if not self.many:
            return self.name
        return f"{self.name[:-1]}ies" if self.name.endswith("y") else f"{self.name}s"


def _of_core(name: str, **values: Any) -> Kind:
    title = "".join(word.capitalize() for word in name.split("_"))
    return Kind(
        name,
        suite=f"aios_core.testing.contracts.{name}:{title}Contract",
        example=f"aios_core.scaffold.examples.{name}",
        **values,
    )


_ROWS: Final = (
    _of_core(
        "dataset",
        hook="aios_datasets",
        contract="aios_core.contracts.dataset:Dataset",
        default="python-docs",
        affects="training",
        promise="""
        Data sets, subclasses of `aios_core.contracts.Dataset`.

        Documents come in the same order each time, and are read again at each call.
        """,
    ),
    _of_core(
        "tokenizer",
        hook="aios_tokenizers",
        contract="aios_core.contracts.tokenizer:Tokenizer",
        default="bpe",
        affects="training",
        promise="""
        Tokenizers, subclasses of `aios_core.contracts.Tokenizer`.

        Training on the same texts gives the same ids; what is saved and loaded has the same
        fingerprint; decoding an encoded text gives the text back. A folder that is loaded is
        untrusted.
        """,
    ),
    _of_core(
        "noise",
        hook="aios_noise_schedulers",
        contract="aios_core.contracts.noise:NoiseScheduler",
        default="loglinear",
        affects="training",
        promise="""
        Noise schedules, subclasses of `aios_core.contracts.NoiseScheduler`.

        ``alpha`` decreases from 1 (or nearly) at t = 0 to 0 (or nearly) at t = 1, elementwise, in
        float64. A method that is overridden by a closed form agrees with the one that it overrides.
        """,
    ),
    _of_core(
        "corruption",
        hook="aios_corruptions",
        contract="aios_core.contracts.corruption:Corruption",
        default="absorbing",
        affects="training",
        promise="""
        Corruptions, subclasses of `aios_core.contracts.Corruption`.

        ``noise`` is a distribution at every alpha, whose odds against survival never fall for any
        token while alpha does. One that is ``absorbing`` knows no noise but the mask.
        """,
    ),
    _of_core(
        "objective",
        hook="aios_objectives",
        contract="aios_core.contracts.objective:Objective",
        default="nelbo",
        affects="training",
        promise="""
        Objectives, subclasses of `aios_core.contracts.Objective`.

        Losses are sums over positions, in nats; padding adds nothing; every parameter of the
        network gets a gradient. One that says it is a ``bound`` averages to a bound of -log p.
        """,
    ),
    _of_core(
        "head",
        hook="aios_projection_heads",
        contract="aios_core.contracts.head:ProjectionHead",
        default="text",
        affects="training",
        promise="""
        Projection heads, subclasses of `aios_core.contracts.ProjectionHead`.

        The module that ``build`` returns keeps shapes: (B, L) to (B, L, D) and back to (B, L, V).
        """,
    ),
    _of_core(
        "backbone",
        hook="aios_backbones",
        contract="aios_core.contracts.backbone:Backbone",
        default="transformer",
        affects="training",
        promise="""
        Backbones, subclasses of `aios_core.contracts.Backbone`.

        The module keeps the shape (B, L, D), lets nothing look at padding and, where it is causal,
        no position look ahead.
        """,
    ),
    _of_core(
        "conditioner",
        hook="aios_conditioners",
        contract="aios_core.contracts.conditioner:Conditioner",
        default="none",
        affects="training",
        promise="""
        Conditioners, subclasses of `aios_core.contracts.Conditioner`.

        A row without a cue is as in a network without the module; the cues of a row depend on
        nothing that only its end tells. What is drawn comes from the generator that is given.
        """,
    ),
    _of_core(
        "modality",
        hook="aios_modalities",
        contract="aios_core.contracts.modality:Modality",
        default=(),
        affects="training",
        promise="""
        Modalities, subclasses of `aios_core.contracts.Modality`.

        The same items give the same codec; what it encodes is finite and of its space and grid,
        what it decodes from any such state is an item, and a codec that is read back is the one
        that was kept.
        """,
    ),
    _of_core(
        "optimizer",
        hook="aios_optimizers",
        contract="aios_core.contracts.optimizer:Optimizer",
        default="adamw",
        affects="training",
        promise="""
        Optimizers, subclasses of `aios_core.contracts.Optimizer`.

        What a stepper remembers is in its ``state``, from the start on: with the tensors copied
        back a new one goes on bit for bit. A step that is skipped changes nothing.
        """,
    ),
    _of_core(
        "lr_schedule",
        hook="aios_lr_schedules",
        contract="aios_core.contracts.lr_schedule:LrSchedule",
        default="cosine",
        affects="training",
        promise="""
        Schedules of the learning rate, subclasses of `aios_core.contracts.LrSchedule`.

        A rate depends on the number of its step alone, is in proportion to the peak, and never
        above it.
        """,
    ),
    _of_core(
        "sampler",
        hook="aios_samplers",
        contract="aios_core.contracts.sampler:Sampler",
        default="ancestral",
        affects="evaluation",
        promise="""
        Samplers, subclasses of `aios_core.contracts.Sampler` or its `StepSampler`.

        A sampler never changes a fixed position, leaves no mask behind, draws only from the context
        (one generator a row, so a row never depends on its batch mates), and says when it is exact.
        """,
    ),
    _of_core(
        "constraint",
        hook="aios_constraints",
        contract="aios_core.contracts.constraint:Constraint",
        promise="""
        Constraints on texts, subclasses of `aios_core.contracts.Constraint`; ``TYPE:PATTERN`` names
        one where texts are written.

        A pattern has the same texts each time, all of them UTF-8; one that cannot be promised is
        refused before any work. That decoded texts keep it, by every tokenizer and sampler, is the
        core's.
        """,
    ),
    _of_core(
        "quantizer",
        hook="aios_quantizers",
        contract="aios_core.contracts.quantizer:Quantizer",
        default="none",
        affects="evaluation",
        promise="""
        Quantizers, subclasses of `aios_core.contracts.Quantizer`.

        The same weight gives the same bits; what is dequantized has the shape of the weight and is
        finite; the product is that with the dequantized weight, up to a stated rounding of x.
        """,
    ),
    _of_core(
        "metric",
        hook="aios_metrics",
        contract="aios_core.contracts.metric:Metric",
        default=("nelbo", "likelihood", "twin", "entropy", "distinct"),
        affects="evaluation",
        promise="""
        Metrics, subclasses of `aios_core.contracts.Metric`.

        Names of values are stable and unique to the metric; the same evidence gives the same
        values; an empty dict says that the metric does not apply.
        """,
    ),
    _of_core(
        "checker",
        hook="aios_checkers",
        contract="aios_core.contracts.checker:Checker",
        promise="""
        Checkers of samples, subclasses of `aios_core.contracts.Checker`, which a metric holds.

        Whatever a network wrote, there is a verdict and no error; a text is read and never run.
        """,
    ),
    _of_core(
        "level",
        hook="aios_evolution_levels",
        contract="aios_core.contracts.level:EvolutionLevel",
        default=("l1-control", "l2-lora", "l3-unfreeze"),
        affects="evaluation",
        promise="""
        Evolution levels, subclasses of `aios_core.contracts.EvolutionLevel`.

        ``adapt`` and ``apply`` leave the model that they are given as it is, tensor by tensor; the
        same experience gives the same adaptation, bit for bit; what it touches stays within the
        budget.
        """,
    ),
    _of_core(
        "policy",
        hook="aios_evolution_policies",
        contract="aios_core.contracts.policy:EvolutionPolicy",
        default="ladder",
        affects="evaluation",
        promise="""
        Policies of evolution, subclasses of `aios_core.contracts.EvolutionPolicy`.

        The same situation gives the same choice: levels that it has, each at most once, none that
        failed; which levels change a model, and whether a change stays, is not the policy's.
        """,
    ),
    _of_core(
        "history",
        hook="aios_histories",
        contract="aios_core.contracts.history:History",
        promise="""
        Histories of runs, subclasses of `aios_core.contracts.History`: what keeps the versions that
        a trained network becomes.

        A version is read back as the network that was kept, tensor by tensor, or refused: the
        network as it was trained never stands in for one that is missing or damaged.
        """,
    ),
    _of_core(
        "uncertainty",
        hook="aios_uncertainty_estimators",
        contract="aios_core.contracts.uncertainty:UncertaintyEstimator",
        promise="""
        Estimators of uncertainty, subclasses of `aios_core.contracts.UncertaintyEstimator`.

        A finite number for each hidden token, higher where the network is less sure, that depends
        on no other token.
        """,
    ),
    _of_core(
        "reader",
        hook="aios_file_readers",
        contract="aios_core.contracts.reader:FileReader",
        promise="""
        Readers of files, subclasses of `aios_core.contracts.FileReader`, by the suffix of such
        files: memories, data sets and texts of commands are read by them.

        Whatever bytes a file holds, there are rows and texts, or an error with file and line. A
        reader of a suffix that had none changes what such files mean, which were text before.
        """,
    ),
    _of_core(
        "tensor_format",
        hook="aios_tensor_formats",
        contract="aios_core.contracts.tensor_format:TensorFormat",
        promise="""
        Formats of files of tensors, subclasses of `aios_core.contracts.TensorFormat`, by the suffix
        of such files.

        What is read is what was written, bit for bit, or writing it was refused; whatever bytes a
        file holds, nothing of it is run.
        """,
    ),
    _of_core(
        "storage",
        hook="aios_storage_backends",
        contract="aios_core.contracts.storage:StorageBackend",
        default="arrow",
        affects="nothing",
        promise="""
        Storage backends, subclasses of `aios_core.contracts.StorageBackend`.

        Rows, filters and scores mean the same everywhere, so that a store can move from any backend
        to any other; a write is all or nothing. Who wraps a library that only indexes vectors takes
        `aios_core.memory.indexed` and writes the index alone.
        """,
    ),
    _of_core(
        "embedding",
        hook="aios_embedding_providers",
        contract="aios_core.contracts.embedding:EmbeddingProvider",
        default="hashing",
        affects="nothing",
        promise="""
        Embedding providers, subclasses of `aios_core.contracts.EmbeddingProvider`.

        The same text gets the same vector, whatever stands beside it in a batch. ``encode`` may
        return vectors of any length but 0; those of ``embed`` have length 1.
        """,
    ),
    _of_core(
        "tracker",
        hook="aios_trackers",
        contract="aios_core.contracts.tracker:Tracker",
        default=("jsonl",),
        affects="nothing",
        promise="""
        Trackers, subclasses of `aios_core.contracts.Tracker`.

        A run that is resumed at a step forgets the later ones; ``finish`` is called once, also
        after an error.
        """,
    ),
    _of_core(
        "executor",
        hook="aios_executors",
        contract="aios_core.contracts.executor:Executor",
        default="processes",
        affects="nothing",
        promise="""
        Executors, subclasses of `aios_core.contracts.Executor`.

        Every job has exactly one outcome, in any order but that of ``after``; a job that fails
        harms none but those that build on it.
        """,
    ),
    _of_core(
        "report",
        hook="aios_reports",
        contract="aios_core.contracts.report:Report",
        default=("tables", "html"),
        affects="nothing",
        promise="""
        Reports, subclasses of `aios_core.contracts.Report`.

        Files are written into the folder of the ablation and nowhere else, the same from the same
        results; nothing of the ablation is changed. Texts of models in a page are escaped.
        """,
    ),
    _of_core(
        "command",
        hook="aios_commands",
        contract="aios_core.contracts.command:Command",
        promise="""
        Commands of `aios`, subclasses of `aios_core.contracts.Command`.

        The first line of the class's docstring is that of the help; every command's help has
        examples. A name that a command of the core has is never reached.
        """,
    ),
)

RESERVED: Final = frozenset(
    {"ablate", "diffusion", "evaluation", "evidence", "evolution", "extends", "lock", "logging"}
    | {"memory", "mode", "name", "plugins", "roles", "sampling", "seed", "tasks", "training"}
)
"""Keys of a configuration that belong to no kind."""

KINDS: Final[dict[str, Kind]] = {kind.name: kind for kind in _ROWS}
"""Those of the core, in the order in which a configuration holds them."""
