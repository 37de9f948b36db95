"""Which runs go on in their folder, and with what of their past."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen

from aios_core.config import resolve, training_key
from aios_core.config.keys import differences, training_values
from aios_core.config.types import show
from aios_core.errors import ConfigError, TrainingError
from aios_core.training import checkpoint
from aios_core.training.held_out import is_over
from aios_core.training.learner import learning_rate

if TYPE_CHECKING:
    from aios_core.config import Resolved

log = logging.getLogger(__name__)


@frozen
class Before:
    """A run as it was left."""

    folder: Path
    """Of its newest checkpoint."""
    state: checkpoint.State
    then: Resolved
    """The configuration of that, as far as it decides a training."""

    @property
    def same_code(self) -> bool:
        """Whether the code of today would begin it as it was begun."""
        return training_key(self.then, self.state.data) == self.state.training_key


def check_same(resolved: Resolved, run: Path) -> Before | None:
    """What a folder holds, which must be a run that can go on under a configuration.

    Raises:
        TrainingError: it is another run; the message names every key that differs.
        ModelLoadError: it is damaged.
    """
    with checkpoint.going_back(run):
        newest = checkpoint.latest(run)
        state = checkpoint.read_state(newest) if newest else None
    if newest is None or state is None:
        return None
    kept = "which is kept as it is"
    remedy = "another folder, or `fresh` to throw that run away"
    try:
        # A sampler, a metric, ... that is no longer installed has no say in this.
        values = training_values(state.values, resolved.registry)
        then = resolve(values, registry=resolved.registry)
    except ConfigError as error:  # a component of that run is no longer installed
        raise TrainingError(
            f"{run}: holds a run of another configuration, {kept}: {error}; expected {remedy}"
        ) from error
    if unlike := differences(then, resolved, state.data):
        listed = "; ".join(
            f"{key}: {_word(a)} there, {_word(b)} here" for key, (a, b) in unlike.items()
        )
        raise TrainingError(
            f"{run}: holds a run of another configuration, {kept}: {listed}; expected what is "
            f"there, {remedy}"
        )
    _check_reachable(state, resolved, run)
    return Before(newest, state, then)


def _word(value: Any) -> str:
    if value is None:
        return "unset"
    return f"[{', '.join(map(show, value))}]" if isinstance(value, list) else show(value)


def _check_reachable(state: checkpoint.State, resolved: Resolved, run: Path) -> None:
    """Whether a run can become what its changed settings say."""
    training, best = resolved.config.training, state.best_step
    if training.steps < state.step:
        raise TrainingError(
            f"{run}: training.steps: {state.step} are done there, {training.steps} here; expected "
            f"at least {state.step}, or another folder"
        )
    if is_over(state, training) and training.keep == "best" and not _is_kept(run, best):
        raise TrainingError(
            f"{run}: training.keep: the loss was lowest at step {best}, which that run did not "
            'keep; expected "last", or more training.steps, of which the best is kept'
        )


def _is_kept(run: Path, step: int | None) -> bool:
    return step is not None and checkpoint.folder_of(run, step).is_dir()


def carried(before: Before, resolved: Resolved, run: Path) -> checkpoint.State:
    """A state as far as it holds under the settings that the run goes on with."""
    state, then, now = before.state, before.then.config.training, resolved.config.training
    if then.steps != now.steps and not _same_rates(before, resolved):
        log.warning(
            "%s: training.steps is now %d; the %d steps done had the learning rates of %d steps, "
            "so the run will not be what %d steps in one go make",
            run,
            now.steps,
            state.step,
            then.steps,
            now.steps,
        )
        state = attrs.evolve(state, past=[*state.past, {"until": state.step, "steps": then.steps}])
    if is_over(state, now):
        return state
    other = then.evaluate_windows != now.evaluate_windows
    lost = now.keep == "best" and not _is_kept(run, state.best_step)
    if state.best_step is not None and (other or lost):
        log.info(
            "%s: the lowest held-out loss is that of the steps to come, for the one before was %s",
            run,
            "of other windows" if other else "not kept",
        )
        state = attrs.evolve(state, best_step=None, best_loss=None)
    return state


def _same_rates(before: Before, resolved: Resolved) -> bool:
    then, now = before.then.config, resolved.config
    return all(
        learning_rate(then, step) == learning_rate(now, step) for step in range(before.state.step)
    )
