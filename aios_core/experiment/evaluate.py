"""Evaluation: what a trained model and its samples are worth.

Results are plain data, ready for JSON, and describe themselves: a value carries its standard
error, its unit and which direction is better, so that a report needs no plugin to be read.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs
import torch

from aios_core.config import resolve, training_key
from aios_core.config import twin as twin_of
from aios_core.contracts import Evidence, Samples
from aios_core.errors import ConfigError, PluginError
from aios_core.evolution.head import at, run_folder
from aios_core.evolution.journal import Journal
from aios_core.experiment.sampling import KEPT_TEXTS, Sampled, sample
from aios_core.files import replace_text
from aios_core.quantization.linear import Size
from aios_core.training import checkpoint, device
from aios_core.training.data import prepare
from aios_core.training.quantize import quantize
from aios_core.training.trainer import train

if TYPE_CHECKING:
    from aios_core.config import Resolved
    from aios_core.config.schema import Config
    from aios_core.contracts import Metric, TrainedTokenizer
    from aios_core.diffusion.model import Model
    from aios_core.registry import Registry
    from aios_core.training.data import Tokens

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

    @classmethod
    def load(cls, folder: Path, resolved: Resolved, *, evolved: bool = True) -> Subject:
        """Read a run's newest checkpoint, to be measured as a configuration says.

        Args:
            folder: of the run.
            resolved: how to measure.
            evolved: with the skills that ``aios evolve`` has kept, or as it was trained.

        Raises:
            ModelLoadError: there is none, or it is damaged.
            EvolutionError: a skill is.
            DataError: the data set cannot be read.
        """
        found = checkpoint.load(folder, registry=resolved.registry)
        journal = Journal.of(run_folder(found))
        head = journal.head if evolved else None
        config, data = resolved.config, prepare(resolved)
        held_out = _first(data.held_out, config.evaluation.max_tokens, found.tokenizer)
        model = at(found, journal, head).to(device.choose(config.training))
        quantize(model, config.quantizer, data.train, seed=config.seed)
        return cls(config, model, found.tokenizer, held_out, head)


def evaluate_model(subject: Subject) -> dict[str, Any]:
    """Measure a network on held-out texts, every token of them.

    Returns:
        ``metrics`` (see `Values`), ``head`` (the last of its skills), ``tokens``, ``bytes`` and
        ``time_epsilon``.
    """
    size = Size.of(subject.model)
    bits = {"value": size.bits_per_weight, "stderr": None, "unit": "bit", "better": None}
    return {
        "mode": subject.config.mode,
        "head": subject.head,
        "metrics": _measure("model", _evidence(subject)) | {"bits_per_weight": bits},
        "tokens": len(subject.held_out.ids),
        "bytes": subject.held_out.num_bytes,
        "time_epsilon": subject.config.diffusion.time_epsilon,
        "parameters": size.weights,
        "machine": machine(subject.model.device),
    }


def evaluate_samples(subject: Subject, twin: Model | None) -> dict[str, Any]:
    """Sample from a network and measure what came.

    Args:
        subject: a diffusion model.
        twin: the autoregressive twin, on any device.

    Returns:
        ``metrics`` of the samples, ``reference`` (the same of as many held-out windows),
        ``dtype``, ``nfe``, ``seconds``, ``texts`` and ``film``.
    """
    sampled = sample(subject.config, subject.model, subject.tokenizer)
    made = sampled.samples
    return {
        "metrics": _measure("samples", _evidence(subject, made, twin)),
        "reference": _measure("samples", _evidence(subject, _held_out_texts(subject), twin)),
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
    progress: bool = True,
    evolved: bool = True,
) -> dict[str, Any]:
    """Measure a run: its network, and, unless it is autoregressive, its samples.

    The twin is trained into ``folder/twin`` where the configuration wants one and none is there.
    The results are also written to ``folder/evaluation.json``.

    Args:
        folder: of a run.
        overrides: ``key=value`` each, of keys that leave the training as it was.
        registry: where components are looked up; None discovers the installed ones.
        progress: show a bar while the twin is trained.
        evolved: with the skills that ``aios evolve`` has kept, or as it was trained.

    Raises:
        ModelLoadError: the folder holds no checkpoint, or a damaged one.
        ConfigError: an override is wrong, or would need another training.
    """
    resolved = _overridden(checkpoint.load(folder, registry=registry).resolved, overrides)
    subject = Subject.load(folder, resolved, evolved=evolved)
    results: dict[str, Any] = {"model": evaluate_model(subject)}
    if resolved.config.mode == "diffusion":
        judge = None
        if resolved.config.evaluation.twin:
            of_twin = twin_of(resolved)
            train(of_twin, folder / "twin", progress=progress)
            judge = Subject.load(folder / "twin", of_twin)
            results["twin"] = evaluate_model(judge)
        results["samples"] = evaluate_samples(subject, judge.model if judge else None)
    replace_text(folder / "evaluation.json", json.dumps(results, indent=1))
    return results


def machine(where: torch.device) -> str:
    """In words, what a measurement ran on."""
    name = torch.cuda.get_device_name(where) if where.type == "cuda" else platform.machine()
    return f"{platform.system()} {name}, device {where.type}"


def _overridden(resolved: Resolved, overrides: Sequence[str]) -> Resolved:
    if not overrides:
        return resolved
    changed = resolve(resolved.values, overrides=overrides, registry=resolved.registry)
    if training_key(changed) != training_key(resolved):
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


def _measure(of: Literal["model", "samples"], evidence: Evidence) -> Values:
    values: Values = {}
    for metric in evidence.config.metrics:
        if metric.of != of:
            continue
        for name, estimate in metric.measure(evidence).items():
            if name in values:
                raise PluginError(f"two metrics give a value named {name!r}; remove one of them")
            values[name] = {
                "value": estimate.value,
                "stderr": estimate.stderr,
                "unit": _lookup(metric, "units", name),
                "better": _lookup(metric, "better", name),
            }
    return values


def _lookup(metric: Metric, table: Literal["units", "better"], name: str) -> str | None:
    found: str | None = getattr(metric, table).get(name)
    return found


def _first(held_out: Tokens, count: int | None, tokenizer: TrainedTokenizer) -> Tokens:
    """The first tokens of a split, and the bytes that these are."""
    if count is None or count >= len(held_out.ids):
        return held_out
    ids = held_out.ids[:count]
    return attrs.evolve(held_out, ids=ids, num_bytes=len(tokenizer.decode(ids).encode()))


def _held_out_texts(subject: Subject) -> Samples:
    """Real texts that look like samples: whole windows, spread evenly over the split."""
    sampling = subject.config.sampling
    length = sampling.length or subject.config.diffusion.length
    windows, valid = subject.held_out.windows(length)
    whole = windows[valid.all(-1)] if valid.all(-1).any() else windows[:, : int(valid.sum())]
    count = min(sampling.num_samples, len(whole))
    ids = whole[torch.linspace(0, len(whole) - 1, count).round().long()]
    return Samples(ids, tuple(subject.tokenizer.decode_batch(ids.numpy())), 0, 0.0, "none")


def _readable(sampled: Sampled, tokenizer: TrainedTokenizer) -> list[list[str | dict[str, str]]]:
    """The first samples, special tokens kept apart as ``{"special": "<eos>"}``."""
    vocabulary = tokenizer.vocabulary
    special = {vocabulary.mask_id, vocabulary.pad_id, vocabulary.bos_id, vocabulary.eos_id}
    texts = []
    for row in sampled.samples.ids[:KEPT_TEXTS].tolist():
        parts: list[str | dict[str, str]] = []
        for is_special, run in groupby(row, special.__contains__):
            if is_special:
                parts.extend({"special": tokenizer.token(token_id)} for token_id in run)
            else:
                parts.append(tokenizer.decode(list(run)))
        texts.append(parts)
    return texts
