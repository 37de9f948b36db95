"""Which network is meant by the folder of an ablation: that of its best arm, or of one by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from aios_core.config.schema import config_of
from aios_core.config.types import fields
from aios_core.errors import DataError
from aios_core.experiment.results import ABOUT, read
from aios_core.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aios_core.experiment.results import Arm, Results, TrialResult


@frozen
class Network:
    """A trained network of an ablation."""

    folder: Path
    """As the folder of a run."""
    twin: Path | None
    """Folder of the autoregressive network that judged it."""
    arm: str
    """Label of its arm."""
    seed: int
    """Of its trial."""
    overrides: tuple[str, ...]
    """``key=value`` each: what the arm samples with, besides what the network was trained with."""
    metric: str | None
    """By which the arm is the best; None where it was chosen by name, or is the only one."""

    def __str__(self) -> str:
        """One phrase for messages."""
        best = f"the best arm by {self.metric}" if self.metric else "arm"
        return f"{best}, {self.arm!r}, seed {self.seed}"


def is_ablation(folder: Path) -> bool:
    """Whether a folder is that of an ablation."""
    return (folder / ABOUT).is_file()


def network(folder: Path, arm: str | None = None) -> Network:
    """The network of an arm: of its trial that is done and has the lowest seed.

    Args:
        folder: of an ablation.
        arm: its label, or a part of it that no other arm has; None: the best arm, by the metric
            that the report leads with.

    Raises:
        DataError: the folder holds no ablation, there is no such arm, more than one, or none of its
            trials is done.
    """
    results = read(folder)
    metric = None
    if arm is not None:
        chosen = _named(results, arm)
    else:
        metric = results.headline
        best = results.best(metric) if metric else None
        done = [arm for arm in results.arms if any(trial.status == "done" for trial in arm.trials)]
        if not done:
            raise DataError(f"{folder}: no trial is done; expected an ablation that ran")
        metric, chosen = (metric, best[0]) if best else (None, done[0])
    trials = [trial for trial in chosen.trials if trial.status == "done"]
    if not trials:
        raise DataError(f"{folder}: no trial of the arm {chosen.label!r} is done")
    trial = min(trials, key=lambda trial: trial.seed)
    return Network(
        folder=_models(folder) / trial.training_key,
        twin=_twin(folder, results, trial),
        arm=chosen.label,
        seed=trial.seed,
        overrides=_sampling(trial.settings),
        metric=metric,
    )


def judge(folder: Path) -> Path | None:
    """Folder of the twin that judged a network of an ablation; None where it is of none.

    Args:
        folder: of the network, as the folder of a run.
    """
    above = folder.parent.parent
    if folder != _models(above) / folder.name or not is_ablation(above):
        return None
    results = read(above)
    trials = (trial for trial in results.trials if trial.training_key == folder.name)
    return next((twin for trial in trials if (twin := _twin(above, results, trial))), None)


def _models(folder: Path) -> Path:
    return folder / "models"


def _named(results: Results, name: str) -> Arm:
    named = [arm for arm in results.arms if arm.label == name]
    if name.strip():
        named = named or [arm for arm in results.arms if name in arm.label]
    if len(named) == 1:
        return named[0]
    what = f"{len(named)} arms hold {name!r}" if named else f"there is no arm {name!r}"
    labels = ", ".join(repr(arm.label) for arm in named or results.arms)
    raise DataError(f"{results.folder}: {what}; expected one of {labels}")


def _twin(folder: Path, results: Results, trial: TrialResult) -> Path | None:
    key = next(
        (planned["twin"] for planned in results.about["trials"] if planned["key"] == trial.key),
        None,
    )
    return _models(folder) / results.models[key]["training_key"] if key in results.models else None


def _sampling(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The settings that training does not depend on."""
    schema = config_of(Registry.discover(insist=False))
    sections = {
        name for name, field in fields(schema).items() if field.metadata["affects"] != "training"
    }
    return tuple(
        f"{key}={json.dumps(value)}"
        for key, value in settings.items()
        if key.partition(".")[0] in sections
    )
