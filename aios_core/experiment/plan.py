"""The plan of an ablation: its trials, the arms they belong to, and the trainings they share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from aios_core.config import training_key, trial_key, trials, twin
from aios_core.config.schema import RUNS
from aios_core.errors import ConfigError
from aios_core.training import checkpoint
from aios_core.training.corpus import Corpus
from aios_core.training.data import digest, tokenizer_files
from aios_core.training.initial import data_of, opened

if TYPE_CHECKING:
    from aios_core.config import Resolved
    from aios_core.registry import Registry


@frozen
class PlannedModel:
    """A network to train and measure."""

    key: str
    """Digest of what decides its measures."""
    training_key: str
    """Digest of what decides its weights; names its folder."""
    resolved: Resolved


@frozen
class PlannedTrial:
    """A combination of settings to sample with."""

    key: str
    settings: dict[str, Any]
    arm: str
    """Label of the settings without the seed."""
    baseline: bool
    seed: int
    resolved: Resolved
    model: PlannedModel
    twin: PlannedModel | None


@frozen
class Plan:
    """All that an ablation has to do."""

    source: str
    """The file as it was written."""
    name: str
    trials: tuple[PlannedTrial, ...]
    folder: Path
    corpora: Mapping[str, Corpus] = field(factory=dict, eq=False)
    """The texts, by `dataset_of` a configuration."""

    @property
    def models(self) -> dict[str, PlannedModel]:
        """Every network once, by key; those that judge come first, for all wait for them."""
        twins = [trial.twin for trial in self.trials if trial.twin]
        return {model.key: model for model in (*twins, *(trial.model for trial in self.trials))}

    def model_folder(self, model: PlannedModel) -> Path:
        """Where a network is trained."""
        return self.folder / "models" / model.training_key

    def model_result(self, model: PlannedModel) -> Path:
        """What was measured of a network."""
        return self.model_folder(model) / f"measured-{model.key}.json"

    def trial_result(self, trial: PlannedTrial) -> Path:
        """What was measured of a trial."""
        return self.folder / "trials" / trial.key / "result.json"

    def missing_models(self) -> list[PlannedModel]:
        """Networks that are not trained and measured yet."""
        return [model for model in self.models.values() if not is_done(self.model_result(model))]

    def missing_trials(self) -> list[PlannedTrial]:
        """Trials that have no result yet, or failed."""
        unique = {trial.key: trial for trial in self.trials}
        return [trial for trial in unique.values() if not is_done(self.trial_result(trial))]


ONLY: Final = "the only arm"
"""Label of an arm that there is no other of."""


def is_done(result: Path) -> bool:
    """Whether a result is there and reports success."""
    return read_result(result).get("status") == "done"


def read_result(path: Path) -> dict[str, Any]:
    """A stored result; empty where there is none or it is damaged, for then it is made again."""
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return result if isinstance(result, dict) else {}


def make_plan(
    file: Path,
    folder: Path | None = None,
    *,
    overrides: Sequence[str] = (),
    registry: Registry | None = None,
) -> Plan:
    """Resolve every trial of a file; nothing runs and nothing is written.

    Args:
        file: a configuration, usually with ``[ablate]``.
        folder: where results are, or will be; None: under ``runs/``, by the name in the file.
        overrides: ``key=value`` each.
        registry: where components are looked up; None discovers the installed ones.

    Raises:
        ConfigError: with all that is wrong, or the folder is that of a run.
        AIOSError: texts, or weights to begin with, cannot be read.
    """
    configured = trials(file, overrides=overrides, registry=registry)
    name = configured[0].resolved.config.name
    target = folder or RUNS / name
    if checkpoint.latest(target) is not None:
        raise ConfigError(
            f"{target}: holds a run, which an ablation must not be mixed with; expected another "
            f"`output`, or another name than {name!r}"
        )
    label = labeller([trial.settings for trial in configured])
    corpora: dict[str, Corpus] = {}
    data: dict[str, str] = {}
    learned: dict[tuple[str, Path | None], str] = {}
    models: dict[tuple[object, ...], PlannedModel] = {}
    planned = []
    for trial in configured:
        resolved = trial.resolved
        dataset = dataset_of(resolved)
        if dataset not in data:
            corpora[dataset] = Corpus(resolved)
            data[dataset] = _fingerprint(corpora[dataset])
        files = tokenizer_files(resolved)
        texts = digest("".join((data[dataset], *files))) if files else data[dataset]
        place = texts, resolved.config.training.init_from
        if place not in learned:
            learned[place] = data_of(texts, opened(resolved))
        judged = resolved.config.evaluation.twin and resolved.config.mode == "diffusion"
        planned.append(
            PlannedTrial(
                key=trial_key(resolved, learned[place]),
                settings=trial.settings,
                arm=label(trial.settings),
                baseline=trial.baseline,
                seed=resolved.config.seed,
                resolved=resolved,
                model=_model(resolved, learned[place], models),
                twin=_model(resolved, texts, models, judge=True) if judged else None,
            )
        )
    return Plan(file.read_text("utf-8-sig"), name, tuple(planned), target, corpora)


def dataset_of(resolved: Resolved) -> str:
    """What tells one data set from another."""
    return json.dumps(resolved.values["dataset"], sort_keys=True, default=str)


def _fingerprint(corpus: Corpus) -> str:
    """Digest of all texts, so that a changed file is not taken for the one that was measured."""
    contents = corpus.contents
    return hashlib.sha256(
        "".join(content.sha256 for content in contents.values()).encode()
    ).hexdigest()


def _model(
    resolved: Resolved,
    data: str,
    known: dict[tuple[object, ...], PlannedModel],
    *,
    judge: bool = False,
) -> PlannedModel:
    """The network of a trial, or its twin: that of all trials whose other values are the same."""
    # A network is measured alike whatever samples from it.
    apart = ("sampler", "sampling", *(("quantizer", "mode", "seed") if judge else ()))
    # Trials share the values of the sections in which they do not differ.
    same = judge, *(id(value) for name, value in resolved.values.items() if name not in apart)
    if same not in known:
        whole, registry = twin(resolved) if judge else resolved, resolved.registry
        # Without the default sampler, that of the first trial stands for all.
        default, offered = registry.default_types["sampler"], registry.components("sampler")
        shared = ("sampler",) if default in {component.name for component in offered} else ()
        bare = whole.changed(*shared, "sampling")
        known[same] = PlannedModel(trial_key(bare, data)[:16], training_key(bare, data), bare)
    return known[same]


def labeller(settings: Sequence[dict[str, Any]]) -> Callable[[dict[str, Any]], str]:
    """A function from settings to the label of their arm, in as few words as distinguish arms."""
    seen: dict[str, set[str]] = {}
    for setting in settings:
        for key, value in setting.items():
            seen.setdefault(key, set()).add(repr(value))
    varied = [
        key
        for key, values in seen.items()
        if key != "seed" and (len(values) > 1 or any(key not in setting for setting in settings))
    ]
    sections = list(dict.fromkeys(key.partition(".")[0] for key in varied))

    def label(setting: dict[str, Any]) -> str:
        own = [key for key in varied if key in setting]
        # A section's name first, then its other words, then its numbers.
        own.sort(
            key=lambda key: (
                sections.index(key.partition(".")[0]),
                not key.endswith(".type"),
                not isinstance(setting[key], str),
            )
        )
        return " · ".join(_word(key, setting[key]) for key in own) or ONLY

    return label


def _word(key: str, value: Any) -> str:
    """A setting in a word or two: names speak for themselves, numbers need their key."""
    if isinstance(value, str):
        return value
    return f"{key.rpartition('.')[2]} {json.dumps(value, default=str)}"
