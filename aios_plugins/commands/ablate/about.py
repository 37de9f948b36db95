"""What is kept of a plan, so that results are read without the configuration."""

from __future__ import annotations

import json
import platform
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from aios_core.experiment.results import ABOUT, without_seed
from aios_core.files import replace_text

if TYPE_CHECKING:
    from aios_plugins.commands.ablate.plan import Plan


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
            own = without_seed(trial.settings)
            shared = own if agreed is None else agreed
            agreed = {key: v for key, v in shared.items() if key in own and own[key] == v}
    return agreed or {}
