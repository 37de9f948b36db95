"""What an ablation found: read from its folder, gathered by arm, compared with the baseline."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from attrs import field, frozen

from aios_core.errors import DataError
from aios_core.experiment.plan import is_done, read_result
from aios_core.experiment.statistics import Summary, paired, summarise
from aios_core.files import replace_text

if TYPE_CHECKING:
    from aios_core.experiment.plan import Plan

ABOUT = "ablation.json"
"""File with what was planned; results are files of their own."""

NFE = "nfe"
"""Name under which the cost of a trial stands beside its metrics."""

BITS = "bits_per_weight"
"""Name of what a network takes, among its measures."""


Verdict: TypeAlias = Literal["better", "worse"]
"""Of an arm beside the baseline."""

MARKS: Final[dict[Verdict | None, str]] = {"better": "▲", "worse": "▼", None: ""}
"""What stands behind a difference."""


@frozen
class TrialResult:
    """One row of the table."""

    key: str
    arm: str
    baseline: bool
    seed: int
    settings: dict[str, Any]
    training_key: str
    model: dict[str, Any]
    """Result of its network; empty where there is none."""
    result: dict[str, Any]
    """Its own; empty where there is none."""

    @property
    def status(self) -> str:
        """``"done"``, ``"failed"`` or ``"missing"``."""
        return str(self.result.get("status", "missing"))

    @property
    def values(self) -> dict[str, float]:
        """Every measured value by name: of the samples, their cost, and the network."""
        if self.status != "done":
            return {}
        own = {name: m["value"] for name, m in self.result["metrics"].items()}
        cost = {NFE: self.result["nfe"], "seconds": self.result["sampling_seconds"]}
        return {**own, **cost, **self.model_values}

    @property
    def model_values(self) -> dict[str, float]:
        """What was measured of its network."""
        return {name: m["value"] for name, m in self.model.get("metrics", {}).items()}


@frozen
class Arm:
    """Trials that differ in their seed alone."""

    label: str
    baseline: bool
    settings: dict[str, Any]
    trials: tuple[TrialResult, ...]

    def by_seed(self, name: str) -> dict[int, float]:
        """A value of every trial that has it."""
        return {trial.seed: trial.values[name] for trial in self.trials if name in trial.values}

    def references(self, name: str) -> dict[int, float]:
        """What the held-out texts of every trial have for a metric of samples."""
        return {
            trial.seed: float(trial.result["reference"][name]["value"])
            for trial in self.trials
            if name in trial.result.get("reference", {})
        }

    def summary(self, name: str) -> Summary | None:
        """Over seeds; None where no trial has the value."""
        values = list(self.by_seed(name).values())
        return summarise(values) if values else None


@frozen
class Results:
    """An ablation as it stands in its folder."""

    folder: Path
    about: dict[str, Any]
    trials: tuple[TrialResult, ...]
    models: dict[str, dict[str, Any]]
    """By key, the networks of trials and their twins: ``settings``, ``seed``, ``training_key``,
    ``twin`` and ``result``."""
    arms: tuple[Arm, ...] = field(init=False)
    compared: dict[str, dict[str, Any]] = field(init=False)
    """What arms are compared by: `metrics`, and those of networks in which arms differ."""

    @arms.default
    def _gather(self) -> tuple[Arm, ...]:
        by_label: dict[str, list[TrialResult]] = {}
        for trial in self.trials:
            by_label.setdefault(trial.arm, []).append(trial)
        return tuple(
            Arm(label, trials[0].baseline, _without_seed(trials[0].settings), tuple(trials))
            for label, trials in by_label.items()
        )

    @compared.default
    def _differing(self) -> dict[str, dict[str, Any]]:
        differing = self.metrics()
        for name, about in self.model_metrics().items():
            values = [arm.by_seed(name) for arm in self.arms]
            if any(by_seed != values[0] for by_seed in values):
                differing[name] = about
        return differing

    @property
    def baseline(self) -> Arm:
        """The arm that others are compared with."""
        return next((arm for arm in self.arms if arm.baseline), self.arms[0])

    @property
    def headline(self) -> str | None:
        """The metric that arms are judged by: the first of which one value may be better."""
        return next((name for name, about in self.compared.items() if about["better"]), None)

    @property
    def loses_text(self) -> bool:
        """Whether a network has no value in bits a byte because its tokenizer loses text."""
        return any(model["result"].get("exact") is False for model in self.models.values())

    def metrics(self) -> dict[str, dict[str, Any]]:
        """Name to unit and direction of every value measured of samples, in their order."""
        metrics: dict[str, dict[str, Any]] = {}
        for trial in self.trials:
            metrics |= trial.result.get("metrics", {})
        return metrics

    def model_metrics(self) -> dict[str, dict[str, Any]]:
        """The same of networks."""
        metrics: dict[str, dict[str, Any]] = {}
        for model in self.models.values():
            if not model["twin"]:
                metrics |= model["result"].get("metrics", {})
        return metrics

    def reference(self, name: str) -> float | None:
        """What held-out texts have for a metric of samples.

        None also where arms differ in it, as those of other tokenizers or lengths do.
        """
        values = {value for arm in self.arms for value in arm.references(name).values()}
        return values.pop() if len(values) == 1 else None

    def by_distance(self, name: str) -> bool:
        """Whether arms are compared by how far they are from held-out texts, not by the value."""
        nearer = self.compared.get(name, {}).get("better") == "nearer"
        return nearer and any(arm.references(name) for arm in self.arms)

    def judged(self, arm: Arm, name: str) -> dict[int, float]:
        """What an arm is compared by, one number a seed.

        Its values or, see `by_distance`, their distances from that of its own held-out texts.
        """
        values = arm.by_seed(name)
        if not self.by_distance(name):
            return values
        references = arm.references(name)
        return {
            seed: abs(value - references[seed])
            for seed, value in values.items()
            if seed in references
        }

    def distance(self, arm: Arm, name: str) -> Summary | None:
        """What an arm is `judged` by over seeds; None where no trial has it."""
        distances = list(self.judged(arm, name).values())
        return summarise(distances) if distances else None

    def difference(self, arm: Arm, name: str) -> Summary | None:
        """What an arm is `judged` by less the baseline's, seed by seed; None for the baseline."""
        if arm is self.baseline:
            return None
        return paired(self.judged(arm, name), self.judged(self.baseline, name))

    def verdict(self, arm: Arm, name: str) -> Verdict | None:
        """Whether an arm is better or worse than the baseline.

        None unless the interval of its `difference` excludes zero and one direction is better.
        """
        difference, sign = self.difference(arm, name), self._sign(name)
        if difference is None or sign is None or not difference.excludes_zero:
            return None
        return "better" if sign * difference.mean < 0 else "worse"

    def scores(self, arm: Arm, name: str) -> dict[int, float]:
        """How bad an arm is by a metric, one number a seed, lower being better; may be empty."""
        sign = self._sign(name)
        if sign is None:
            return {}
        return {seed: sign * value for seed, value in self.judged(arm, name).items()}

    def _sign(self, name: str) -> int | None:
        """1 where lower is better of what is judged, -1 where higher is; None where neither."""
        better = self.compared.get(name, {}).get("better")
        if better == "lower" or self.by_distance(name):
            return 1
        return -1 if better == "higher" else None

    def best(self, name: str) -> tuple[Arm, bool] | None:
        """The arm with the best mean, and whether seeds tell it from every other arm.

        They do where all its paired differences have a 95 % interval beyond zero.
        """
        scores = {arm.label: s for arm in self.arms if (s := self.scores(arm, name))}
        if len(scores) < 2:
            return None
        means = {label: fmean(own.values()) for label, own in scores.items()}
        first = min(means, key=lambda label: means[label])
        return next(arm for arm in self.arms if arm.label == first), not self.rivals(first, name)

    def rivals(self, label: str, name: str) -> list[Arm]:
        """The other arms that seeds do not tell to be worse than one by a metric."""
        own = next(self.scores(arm, name) for arm in self.arms if arm.label == label)
        others = [(arm, self.scores(arm, name)) for arm in self.arms if arm.label != label]
        gaps = [(arm, paired(own, scores)) for arm, scores in others if scores]
        return [arm for arm, gap in gaps if gap is None or gap.high is None or gap.high >= 0]


def _without_seed(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key != "seed"}


def write_about(plan: Plan, *, command: str, started: datetime, seconds: float) -> None:
    """Keep what is needed to read the results without the configuration.

    Args:
        plan: what was planned.
        command: the command line.
        started: when its first run began.
        seconds: that its runs took so far, all together.
    """
    facts = {
        "command": command,
        "started": started.isoformat(timespec="seconds"),
        "seconds": seconds,
        "versions": _versions(plan),
        "reports": plan.trials[0].resolved.values["reports"],
    }
    trials = [
        {
            "key": trial.key,
            "arm": trial.arm,
            "baseline": trial.baseline,
            "seed": trial.seed,
            "settings": trial.settings,
            "model": trial.model.key,
            "twin": trial.twin.key if trial.twin else None,
        }
        for trial in plan.trials
    ]
    models = {
        model.key: {
            "training_key": model.training_key,
            "seed": model.resolved.config.seed,
            "twin": model.resolved.config.mode == "ar",
            "settings": of_training(plan, model.key),
        }
        for model in plan.models.values()
    }
    about = {"name": plan.name, "source": plan.source, **facts, "trials": trials, "models": models}
    plan.folder.mkdir(parents=True, exist_ok=True)
    replace_text(plan.folder / ABOUT, json.dumps(about, indent=1, default=str))


def _versions(plan: Plan) -> dict[str, str]:
    """Of Python, of torch, and of everything that offered a component."""
    used = {
        component.distribution: component.version
        for trial in plan.trials
        for component in trial.resolved.components
        if component.distribution and component.version
    }
    return {"Python": platform.python_version(), "torch": version("torch"), **used}


def of_training(plan: Plan, model: str, *, twin: bool = False) -> dict[str, Any]:
    """The settings that all trials of a network agree on: those that its training depends on.

    Args:
        plan: of the ablation.
        model: key of the network.
        twin: whether it is the twin of the trials.
    """
    agreed: dict[str, Any] | None = None
    for trial in plan.trials:
        network = trial.twin if twin else trial.model
        if network is not None and model == network.key:
            own = _without_seed(trial.settings)
            shared = own if agreed is None else agreed
            agreed = {key: v for key, v in shared.items() if key in own and own[key] == v}
    return agreed or {}


def read(folder: Path) -> Results:
    """Read an ablation.

    Raises:
        DataError: the folder holds none.
    """
    about = read_result(folder / ABOUT)
    if not about.get("trials"):
        raise DataError(
            f"{folder}: holds no {ABOUT}; expected the folder that `aios ablate --output` wrote"
        )
    models = {
        key: {**model, "result": _done(_model_file(folder, key, model))}
        for key, model in about["models"].items()
    }
    trials = tuple(
        TrialResult(
            key=planned["key"],
            arm=planned["arm"],
            baseline=planned["baseline"],
            seed=planned["seed"],
            settings=planned["settings"],
            training_key=models[planned["model"]]["training_key"],
            model=models[planned["model"]]["result"],
            result=read_result(folder / "trials" / planned["key"] / "result.json"),
        )
        for planned in about["trials"]
    )
    return Results(folder, about, trials, models)


def _model_file(folder: Path, key: str, model: Mapping[str, Any]) -> Path:
    return folder / "models" / str(model["training_key"]) / f"measured-{key}.json"


def _done(path: Path) -> dict[str, Any]:
    return read_result(path) if is_done(path) else {}
