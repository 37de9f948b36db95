"""Evaluation: what a trained model and its samples are worth.

Results are plain data, ready for JSON, and describe themselves: a value carries its standard
error, its unit and which direction is better, so that a report needs no plugin to be read.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs
import torch

from aios_core.allocation import answer_bytes, enough_memory
from aios_core.component import blamed, named
from aios_core.config import resolve, training_key
from aios_core.config import twin as twin_of
from aios_core.config.keys import training_settings
from aios_core.contracts import Estimate, Evidence, Samples, Sequences
from aios_core.errors import ConfigError, DataError, InferenceError, ModelLoadError, PluginError
from aios_core.experiment.arms import judge as judge_of
from aios_core.experiment.sampling import (
    KEPT_TEXTS,
    Sampled,
    answers,
    ended,
    sample,
    stops,
    texts_of,
)
from aios_core.quantization.linear import Size
from aios_core.training import checkpoint, device
from aios_core.training.data import check_sampling, tokens
from aios_core.training.held_out import is_over
from aios_core.training.history import at, find
from aios_core.training.layout import Framing
from aios_core.training.measured import Measured, other_rows, others, own, own_corpus
from aios_core.training.overlap import trained_on
from aios_core.training.quantize import quantize
from aios_core.training.yardsticks import yardsticks

if TYPE_CHECKING:
    from aios_core.config import Resolved
    from aios_core.config.schema import Config
    from aios_core.contracts import Metric, Split, TrainedTokenizer
    from aios_core.diffusion.model import Model
    from aios_core.joint.trained import TrainedJoint
    from aios_core.registry import Registry
    from aios_core.training.checkpoint import Checkpoint
    from aios_core.training.corpus import Corpus
    from aios_core.training.data import Prepared
    from aios_core.training.token_rows import TokenRows
    from aios_core.training.tokens import Tokens

_MOST_NATS = 700.0
"""Nats a token below which a perplexity is shown: that of more is beyond what JSON holds."""

Values = dict[str, dict[str, Any]]
"""Name to ``value``, ``stderr``, ``unit`` and ``better``, the last three None where there is
none."""


@attrs.frozen
class Subject:
    """A trained network with what it is measured on."""

    config: Config
    model: Model
    tokenizer: TrainedTokenizer
    held_out: Tokens
    head: str | None
    """The last of the skills it has."""
    other: str | None = None
    """The texts that stand in for the run's own validation split; None: nothing does."""
    train: TokenRows | None = None
    """What the network learned from, where that is there."""
    rows: int = 0
    """Of the texts that it is measured on, all of them."""
    trained_on: int | None = None
    """Of these, how many it learned from; None: what it learned from is not there."""

    @classmethod
    def load(
        cls,
        folder: Path,
        resolved: Resolved,
        *,
        evolved: bool = True,
        measured: Measured | None = None,
    ) -> Subject:
        """Read a run's newest checkpoint, to be measured as a configuration says.

        Args:
            folder: of the run.
            resolved: how to measure.
            evolved: with the skills that ``aios evolve`` has kept, or as it was trained.
            measured: on these texts; None: on the run's own, which are shown to be as they were.

        Raises:
            ModelLoadError: there is none, or it is damaged.
            EvolutionError: a skill is.
            DataError: the texts cannot be read, or are not those that it was trained on.
        """
        trained = checkpoint.load(folder, registry=resolved.registry)
        return cls.of(trained, resolved, evolved=evolved, measured=measured)

    @classmethod
    def of(
        cls,
        trained: Checkpoint,
        resolved: Resolved,
        *,
        evolved: bool = True,
        measured: Measured | None = None,
    ) -> Subject:
        """Like `load`, of a network that was read already."""
        measured, config, train = measured or own(trained, resolved), resolved.config, None
        if config.quantizer.calibrated:
            corpus = own_corpus(trained, resolved, measured.corpus)
            train = tokens(corpus, "train", trained.tokenizer, Framing.of(config))
        head = find(trained) if evolved else None
        learned = _learned(trained, resolved, measured.corpus)
        rows = measured.held_out.rows
        known = None if learned is None else trained_on(learned, rows)
        held_out = measured.held_out.framed(Framing.of(config))
        if (name := config.evaluation.task) is not None:
            held_out = held_out.asked(name, config.tasks[name], trained.tokenizer)
        if (most := config.evaluation.max_tokens) is not None:
            held_out = held_out.first(most, trained.tokenizer)
        model = at(trained, head).to(device.choose(config.training))
        quantize(model, config.quantizer, train, seed=config.seed)
        return cls(
            config,
            model,
            trained.tokenizer,
            held_out,
            head,
            measured.other,
            learned,
            len(rows),
            known,
        )


def evaluate_model(subject: Subject) -> dict[str, Any]:
    """Measure a network on held-out texts, every token of them.

    Returns:
        ``metrics`` (see `Values`), ``perplexity`` (of each of them that is in nats a token),
        ``yardsticks`` (see `yardsticks`), ``head`` (the last of its skills), ``texts`` (what it was
        measured on, as a file or the test split; None for the run's own validation split),
        ``rows`` (of these texts, before any task or limit), ``trained_on`` (how many of these rows
        the network learned from; None where nobody knows), ``tokens``, ``bytes``, ``exact``
        (whether the tokens decode to the texts; else nothing is given in bits a byte) and
        ``time_epsilon``.
    """
    rows, size = subject.config.evaluation.batch_size, Size.of(subject.model)
    bits = {"value": size.bits_per_weight, "stderr": None, "unit": "bit", "better": None}
    with enough_memory(
        InferenceError,
        f"measuring evaluation.batch_size = {rows} texts at once",
        "use a smaller evaluation.batch_size",
    ):
        metrics = measure("model", _evidence(subject))
    return {
        "mode": subject.config.mode,
        "head": subject.head,
        "texts": subject.other,
        "metrics": metrics | {"bits_per_weight": bits},
        "perplexity": {
            name: math.exp(metric["value"])
            for name, metric in metrics.items()
            if metric["unit"] == "nats/token" and metric["value"] < _MOST_NATS
        },
        "yardsticks": yardsticks(subject.train, subject.held_out, subject.tokenizer.vocabulary),
        "rows": subject.rows,
        "trained_on": subject.trained_on,
        "tokens": len(subject.held_out.ids),
        "bytes": subject.held_out.num_bytes,
        "exact": subject.held_out.exact,
        "time_epsilon": subject.config.diffusion.time_epsilon,
        "parameters": size.weights,
        "machine": machine(subject.model.device),
    }


def _learned(trained: Checkpoint, resolved: Resolved, corpus: Corpus | None) -> TokenRows | None:
    """The rows that a network learned from, if they lie here and are as they were."""
    try:  # what is no file may take long to come, and none of it is measured
        if corpus is None and resolved.config.dataset.files() is not None:
            corpus = own_corpus(trained, resolved)
    except DataError:
        return None
    if corpus is None:
        return None
    return tokens(corpus, "train", trained.tokenizer, Framing.of(resolved.config)).rows


def evaluate_samples(subject: Subject, twin: Model | None) -> dict[str, Any]:
    """Sample from a network and measure what came.

    Args:
        subject: a diffusion model, or an autoregressive one of rows that have given parts.
        twin: the autoregressive twin, on any device.

    Returns:
        ``metrics`` of the samples, ``reference`` (the same of as many held-out windows),
        ``dtype``, ``nfe``, ``seconds``, ``texts`` and ``film``.
    """
    sampling, length = subject.config.sampling, subject.config.diffusion.length
    rows = min(sampling.batch_size, sampling.num_samples)
    at_once = sampling.block_size or sampling.length or length
    with enough_memory(
        InferenceError,
        f"sampling sampling.batch_size = {sampling.batch_size} texts at once",
        "use a smaller sampling.batch_size or evaluation.batch_size, or a shorter sampling.length",
        at_least=answer_bytes(rows, at_once, subject.model.vocabulary.size),
        device=subject.model.device,
    ):
        sampled = sample(subject.config, subject.model, subject.tokenizer, subject.held_out)
        made = sampled.samples
        metrics = measure("samples", _evidence(subject, made, twin))
        reference = measure("samples", _evidence(subject, _held_out_texts(subject), twin))
    return {
        "metrics": metrics,
        "reference": reference,
        "dtype": made.dtype,
        "nfe": made.nfe,
        "seconds": made.seconds,
        "samples": len(made.ids),
        "length": made.ids.shape[1],
        "texts": _readable(sampled, subject.tokenizer),
        "film": sampled.film,
    }


def evaluate_run(
    folder: Path,
    *,
    overrides: Sequence[str] = (),
    registry: Registry | None = None,
    evolved: bool = True,
    texts: Path | None = None,
    other: bool = False,
    split: Split = "validation",
    prepared: Prepared | None = None,
    twin: Path | None = None,
) -> dict[str, Any]:
    """Measure a run: its network and its samples.

    An autoregressive network fills in rows that have given parts, from left to right; elsewhere
    nothing is sampled from it.

    Nothing is written.

    Args:
        folder: of a run.
        overrides: ``key=value`` each, of keys that leave the training as it was.
        registry: where components are looked up; None discovers the installed ones.
        evolved: with the skills that ``aios evolve`` has kept, or as it was trained.
        texts: a file to measure on instead of the run's own held-out texts; overrides of the data
            set say how it is read.
        other: measure on the held-out rows that overrides of the data set give.
        split: of the run's own data set, or of the other.
        prepared: the run's data set, where it was read already.
        twin: folder of the twin; None: that of the ablation which trained the network, else
            ``folder/twin``.

    Raises:
        ModelLoadError: the folder holds no checkpoint, or a damaged one; or a twin is wanted to
            judge the samples, and there is none that was trained as it should.
        ConfigError: an override is wrong, or would need another training.
        DataError: the texts cannot be read, or are not those that the run was trained on.
    """
    trained = checkpoint.load(folder, registry=registry)
    reading = (
        [override for override in overrides if override.startswith("dataset.")]
        if other or texts is not None
        else []
    )
    resolved = overridden(trained, [override for override in overrides if override not in reading])
    check_sampling(resolved.config, trained.tokenizer)
    if texts is not None:
        measured = others(trained, texts, reading)
    elif other:
        measured = other_rows(trained, reading, split)
    elif prepared is not None and split == "validation":
        measured = Measured.of(prepared)
    else:
        measured = own(trained, resolved, split=split)
    judged = resolved.config.mode == "diffusion" and resolved.config.evaluation.twin
    place = trained.run_folder
    beside = twin or judge_of(place) or place / "twin"
    of_twin = _twin(trained, resolved, beside) if judged else None
    subject = Subject.of(trained, resolved, evolved=evolved, measured=measured)
    results: dict[str, Any] = {"model": evaluate_model(subject)}
    if resolved.config.mode == "diffusion" or subject.held_out.rows.has_given:
        judge = None
        if of_twin is not None:
            judge = Subject.of(of_twin, twin_of(resolved), measured=measured)
            results["twin"] = evaluate_model(judge)
        results["samples"] = evaluate_samples(subject, judge.model if judge else None)
    return results


def _twin(trained: Checkpoint, resolved: Resolved, place: Path) -> Checkpoint:
    """The twin that is there, which must be the one that a configuration requires."""
    remedy = (
        "`aios run` with the configuration of the run trains it, and --set evaluation.twin=false "
        "measures without a judge"
    )
    if checkpoint.latest(place) is None:
        raise ModelLoadError(f"{place}: there is no twin to judge the samples; {remedy}")
    twin, expected = checkpoint.load(place, registry=resolved.registry), twin_of(resolved)
    there, here = (training_settings(run, twin.state.data) for run in (twin.resolved, expected))
    if there != here:
        key, value, other = _difference("", there, here)
        raise ModelLoadError(
            f"{place}: was trained with {key} = {value}, expected {other}; {remedy}"
        )
    training = twin.resolved.config.training
    if not is_over(twin.state, training):
        raise ModelLoadError(
            f"{place}: was trained for {twin.state.step} of {training.steps} steps; {remedy}"
        )
    texts = {loaded.state.texts for loaded in (trained, twin)} - {""}  # which older ones do not say
    if twin.state.tokenizer != trained.state.tokenizer or len(texts) > 1:
        raise ModelLoadError(f"{place}: was trained on other texts than the run; {remedy}")
    return twin


def _difference(key: str, there: Any, here: Any) -> tuple[str, Any, Any]:
    """The first key by which two sections differ, and its values."""
    if isinstance(there, dict) and isinstance(here, dict):
        for name in {**there, **here}:
            if there.get(name) != here.get(name):
                path = f"{key}.{name}" if key else name
                return _difference(path, there.get(name), here.get(name))
    return key, there, here


def machine(where: torch.device) -> str:
    """In words, what a measurement ran on."""
    name = torch.cuda.get_device_name(where) if where.type == "cuda" else platform.machine()
    return f"{platform.system()} {name}, device {where.type}"


def overridden(trained: Checkpoint | TrainedJoint, overrides: Sequence[str]) -> Resolved:
    """The configuration of a run with other settings of its evaluation.

    Raises:
        ConfigError: an override is wrong, or would need another training.
    """
    resolved = trained.resolved
    if not overrides:
        return resolved
    changed = resolve(resolved.values, overrides=overrides, registry=resolved.registry)
    # Where the texts lie does not count: what they are is compared when they are read.
    data = trained.state.data
    if training_key(changed, data) != training_key(resolved, data):
        raise ConfigError(
            f"--set {' --set '.join(overrides)}: would need another training; an evaluation can "
            "change sampler, sampling, metrics and evaluation"
        )
    return changed


def _evidence(
    subject: Subject, samples: Samples | None = None, twin: Model | None = None
) -> Evidence:
    return Evidence(
        config=subject.config,
        model=subject.model,
        tokenizer=subject.tokenizer,
        held_out=subject.held_out,
        samples=samples,
        twin=twin,
    )


def measure(of: Literal["model", "samples"], evidence: Evidence) -> Values:
    """All values of the configured metrics of the one or the other.

    Raises:
        PluginError: a metric raised, or gave what is no finite number, or a name that is taken.
    """
    values: Values = {}
    for metric in evidence.config.metrics:
        if metric.of != of:
            continue
        with blamed(metric, "measure", within=evidence.model.made):
            measured = metric.measure(evidence)
        for name, estimate in _estimates(metric, measured).items():
            if name in values:
                raise PluginError(f"two metrics give a value named {name!r}; remove one of them")
            values[name] = {
                "value": estimate.value,
                "stderr": estimate.stderr,
                "unit": _lookup(metric, "units", name),
                "better": _lookup(metric, "better", name),
            }
    return values


def _estimates(metric: Metric, measured: Any) -> dict[str, Estimate]:
    """What a metric gives, held against its contract."""
    if not isinstance(measured, dict):
        raise PluginError(
            f"{named(metric)} gives a {type(measured).__name__}; expected a dict from names to "
            "estimates"
        )
    for name, estimate in measured.items():
        if not isinstance(name, str) or not isinstance(estimate, Estimate):
            raise PluginError(
                f"{named(metric)} gives {name!r}: {estimate!r:.80}; expected a name and an Estimate"
            )
        for what, number in (("value", estimate.value), ("stderr", estimate.stderr)):
            if number is None and what == "stderr":
                continue
            if not isinstance(number, int | float) or not math.isfinite(number):
                raise PluginError(
                    f"{named(metric)}: the {what} of {name} is {number!r:.80}; expected a finite "
                    "number"
                )
    return measured


def _lookup(metric: Metric, table: Literal["units", "better"], name: str) -> str | None:
    text: str | None = getattr(metric, table).get(name)
    return text


def _held_out_texts(subject: Subject) -> Samples:
    """Real texts that look like samples: whole sequences, spread evenly over the split."""
    sampling, held_out = subject.config.sampling, subject.held_out
    if held_out.rows.has_given:
        return answers(subject.config, subject.tokenizer, held_out)
    length = sampling.length or subject.config.diffusion.length
    everything = held_out.sequences(length)
    full = everything.valid.all(-1)
    if full.any():
        everything = everything[full]
    else:
        width = int(everything.valid.sum())
        everything = Sequences(everything.ids[:, :width], everything.valid[:, :width])
    count = min(sampling.num_samples, len(everything))
    chosen = everything[torch.linspace(0, len(everything) - 1, count).round().long()]
    if held_out.framing.documents:
        chosen = ended(chosen, subject.tokenizer.vocabulary.eos_id)
    texts = texts_of(chosen, subject.tokenizer, held_out.framing)
    return Samples(chosen, texts, 0, 0.0, "none")


def _readable(sampled: Sampled, tokenizer: TrainedTokenizer) -> list[list[str | dict[str, str]]]:
    """The first samples up to their ends, special tokens apart as ``{"special": "<eos>"}``."""
    vocabulary, sequences = tokenizer.vocabulary, sampled.samples.sequences[:KEPT_TEXTS]
    special = {vocabulary.mask_id, vocabulary.pad_id, vocabulary.bos_id, vocabulary.eos_id}
    texts = []
    for row, stop in zip(sequences.ids.tolist(), stops(sequences), strict=True):
        begins = row[0] == vocabulary.bos_id  # as all rows do
        parts: list[str | dict[str, str]] = []
        for is_special, run in groupby(row[begins:stop], special.__contains__):
            if is_special:
                parts.extend({"special": tokenizer.token(token_id)} for token_id in run)
            else:
                parts.append(tokenizer.decode(list(run)))
        texts.append(parts)
    return texts
