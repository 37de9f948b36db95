"""The optimiser's loop around a learner: checkpoints, metrics, progress, and an orderly stop."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from aios_core.allocation import enough_memory
from aios_core.config import training_key, write_lock
from aios_core.config.lock import LOCK, lock_fault
from aios_core.errors import TrainingError
from aios_core.files import sweep
from aios_core.training import checkpoint
from aios_core.training.data import Prepared, prepare
from aios_core.training.going_on import Before, carried, check_same
from aios_core.training.held_out import is_over
from aios_core.training.interrupt import Interruption
from aios_core.training.material import Material, Texts
from aios_core.training.progress import TrainingProgress
from aios_core.training.tracking import Trackings

if TYPE_CHECKING:
    from aios_core.config import Resolved
    from aios_core.training.learner import Step
    from aios_core.training.material import Learning

log = logging.getLogger(__name__)

_TIMED: Final = 4
"""Steps after which it is said how long a training takes."""


def train(
    resolved: Resolved,
    folder: Path,
    *,
    prepared: Prepared | Material | None = None,
    progress: bool = True,
) -> Path:
    """Train a network, going on from the newest checkpoint in the folder.

    On one machine's CPU a run that was killed and goes on ends with the same weights, bit for bit,
    as one that was not.

    Args:
        resolved: the configuration.
        folder: the run's own folder; made if it is not there.
        prepared: its data set, where that was read already.
        progress: show a bar or, where there is no terminal, a few log lines.

    Returns:
        The folder of the checkpoint that the run stands for.

    Raises:
        TrainingError: the folder holds another run, the loss is not finite, the disk is full.
        ModelLoadError: the checkpoint to go on from is damaged.
        DataError: the data set cannot be read or is too small.
        KeyboardInterrupt: SIGINT, SIGTERM or SIGHUP came; everything up to that step is saved.
    """
    try:
        str(folder.absolute()).encode()
    except UnicodeEncodeError:  # libraries that write and read tensors take no other
        shown = str(folder.absolute()).encode(errors="backslashreplace").decode()
        raise TrainingError(f"{shown}: expected the name of a folder in UTF-8") from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            for place in (folder, folder / "checkpoints"):
                sweep(place)
            return _train(resolved, folder, prepared, progress=progress)
    except OSError as error:
        raise TrainingError(f"{folder}: cannot be written: {error}") from error


def _train(
    resolved: Resolved, folder: Path, prepared: Prepared | Material | None, *, progress: bool
) -> Path:
    config, before = resolved.config, check_same(resolved, folder)
    texts = prepare(resolved) if prepared is None else prepared
    material: Material = Texts(resolved, texts) if isinstance(texts, Prepared) else texts
    begins, data = material.begins, material.data
    if before and before.state.data != data:
        raise TrainingError(
            f"{folder}: {_other_data(before, resolved, material)}; expected them as they were, "
            "another folder, or `fresh` to throw that run away"
        )
    past = carried(before, resolved, folder) if before else None
    state = checkpoint.State(
        step=past.step if past else 0,
        best_step=past.best_step if past else None,
        best_loss=past.best_loss if past else None,
        past=past.past if past else [],
        values=resolved.values,
        training_key=training_key(resolved, data),
        tokenizer=material.maker,
        data=data,
        texts=material.fingerprint,
        embedding=material.embedding,
    )
    if not before:
        material.keep(folder)
    facts = material.facts(folder) | ({"past": state.past} if state.past else {})
    if before and is_over(before.state, config.training):
        return _kept(resolved, folder, before, state, facts)
    write_lock(resolved, folder / LOCK, data=facts)
    with enough_memory(TrainingError, "the network with its optimizer", "use a smaller [backbone]"):
        learner = material.learner()
    if before:
        with checkpoint.going_back(folder):
            learner.restore(before.folder, before.state)
        log.info("%s: going on after step %d", folder, before.state.step)
        if not before.same_code:
            log.warning(
                "%s: goes on with other code or versions than it began with, so it will not be "
                "what either of them makes alone",
                folder,
            )
    elif begins:
        learner.begin(begins)
    parameters = sum(parameter.numel() for parameter in learner.model.parameters())
    said = partial(material.announce, parameters, state.step)
    saved = before.folder if before else None
    return _Loop(
        resolved, folder, learner, state, saved, announced=said if progress else None
    ).run()


def _other_data(before: Before, resolved: Resolved, material: Material) -> str:
    """In words, what a run was trained on that is not there now."""
    then, now = (
        values["training"].get("init_from", "unset")
        for values in (before.state.values, resolved.values)
    )
    if {then, now} != {"unset"} and before.state.texts in {"", material.fingerprint}:
        return (
            "began with other weights than there are now in training.init_from, or has other "
            f"memories (training.init_from: {then} there, {now} here)"
        )
    return f"was trained on other texts, or memories, than there are now in {material}"


def _kept(
    resolved: Resolved, folder: Path, before: Before, state: checkpoint.State, facts: dict[str, Any]
) -> Path:
    """The checkpoint that a finished run stands for, by the settings that it has now."""
    lock, changed = folder / LOCK, before.state.values != resolved.values
    if changed:
        key = state.training_key if before.same_code else before.state.training_key
        new: dict[str, Any] = {"values": resolved.values, "training_key": key, "past": state.past}
        checkpoint.write_state(before.folder, attrs.evolve(before.state, **new))
        chosen = checkpoint.chosen(folder)
        if chosen is not None and chosen != before.folder:
            checkpoint.write_state(chosen, attrs.evolve(checkpoint.read_state(chosen), **new))
    # One that is as it was says with what the run was made, which nobody knows better now.
    if changed or (reason := lock_fault(lock)) is not None:
        if not changed:
            log.warning("%s: %s; it is written again", lock, reason)
        write_lock(resolved, lock, data=facts)
    return checkpoint.chosen(folder) or before.folder


class _Loop:
    """Steps from the state's to the last one."""

    def __init__(
        self,
        resolved: Resolved,
        folder: Path,
        learner: Learning,
        state: checkpoint.State,
        saved: Path | None,
        *,
        announced: Callable[[float], None] | None,
    ) -> None:
        self._config, self._folder, self._learner = resolved.config, folder, learner
        self._state, self._saved = state, saved
        self._tracking = Trackings(
            resolved.config.trackers, folder, resolved.values, step=state.step
        )
        self._announced, self._timed = announced, 0
        self._since = self._first = time.monotonic()
        self._steps: list[Step] = []

    def run(self) -> Path:
        training, first = self._config.training, self._state.step
        label = f"{self._config.name} ({self._config.mode})"
        bar = TrainingProgress(label, training.steps, first, shown=self._announced is not None)
        try:
            with Interruption() as interruption, bar:
                for done in range(first + 1, training.steps + 1):
                    self._steps.append(self._begin(done))
                    self._state = attrs.evolve(self._state, step=done)
                    self._announce(stop=interruption.requested)
                    if self._finish(bar, stop=interruption.requested):
                        break
                if interruption.requested:
                    log.warning(
                        "%s: stopped after step %d of %d, which is saved; the same command goes on "
                        "from there",
                        self._folder,
                        self._state.step,
                        training.steps,
                    )
                    raise KeyboardInterrupt
        finally:
            self._tracking.finish()
        if self._state.step < training.steps:
            best = f"step {self._state.best_step} ({self._state.best_loss:.4f})"
            log.info(
                "%s: stopped after step %d of %d, for the held-out loss was lowest at %s",
                label,
                self._state.step,
                training.steps,
                best,
            )
        kept = checkpoint.chosen(self._folder)
        assert kept is not None
        return kept

    def _announce(self, *, stop: bool) -> None:
        """Say what this training is, once its first steps have shown how long it takes.

        The very first is slower than those behind it, so it is not counted if there are others.
        """
        if self._announced is None:
            return
        training, done, self._timed = self._config.training, self._state.step, self._timed + 1
        every = (training.evaluate_every, training.log_every, training.checkpoint_every)
        due = stop or done == training.steps or any(done % number == 0 for number in every)
        if self._timed == 1:
            self._check()
            seconds, self._first = time.monotonic() - self._first, time.monotonic()
        if self._timed < _TIMED and not due:
            return
        self._check()
        now = time.monotonic()
        if self._timed > 1:
            seconds = (now - self._first) / (self._timed - 1)
        self._announced(seconds)
        self._announced = None
        self._since += time.monotonic() - now  # the steps took none of it

    def _finish(self, bar: TrainingProgress, *, stop: bool) -> bool:
        """Measure, record and save what is due after a step; returns whether it was the last."""
        training, done = self._config.training, self._state.step
        values: dict[str, float] = {}
        better = False
        if done == training.steps or done % training.evaluate_every == 0:
            better, values["held_out_loss"] = self._measure()
        over = stop or is_over(self._state, training)
        save = over or better or done % training.checkpoint_every == 0
        record = over or done % training.log_every == 0
        if save or record:
            self._check()
        if record:
            values |= self._means()
        if values:
            self._tracking.log(values, step=done)
        bar.advance(done, values)
        if save:
            self._saved = checkpoint.save(self._folder, self._state, self._learner.parts())
        return over

    def _begin(self, done: int) -> Step:
        with self._explained():
            return self._learner.step(done - 1)

    def _check(self) -> None:
        """Wait for the steps since the last record, none of which may have failed."""
        with self._explained():
            for step in self._steps:
                step.check()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say of a fault what there is to go on from."""
        rows = self._config.training.batch_size
        row, shorter = self._learner.row
        work = f"a step of training.batch_size = {rows} x {row}"
        remedy = "use a smaller training.batch_size and a larger training.accumulate, or "
        try:
            with enough_memory(TrainingError, work, remedy + shorter):
                yield
        except TrainingError as error:
            kept = f"{self._saved} is kept" if self._saved else "no checkpoint was written yet"
            raise TrainingError(f"{error}; {kept}") from error

    def _measure(self) -> tuple[bool, float]:
        """Whether the held-out loss is the lowest so far and is to be kept, and the loss."""
        self._check()
        began, best = time.monotonic(), self._state.best_loss
        with self._explained():
            loss = self._learner.held_out_loss()
        self._since += time.monotonic() - began  # the steps took none of it
        better = best is None or loss < best
        if better:
            self._state = attrs.evolve(self._state, best_step=self._state.step, best_loss=loss)
        return better and self._config.training.keep == "best", loss

    def _means(self) -> dict[str, float]:
        """Of the steps since the last record."""
        training, steps, now = self._config.training, self._steps, time.monotonic()
        tokens = training.batch_size * training.accumulate * self._learner.tokens
        values = {
            "loss": sum(step.loss.item() for step in steps) / len(steps),
            "learning_rate": steps[-1].learning_rate,
            "grad_norm": sum(step.grad_norm.item() for step in steps) / len(steps),
            "tokens_per_second": tokens * len(steps) / (now - self._since),
        }
        for name in dict.fromkeys(name for step in steps for name in step.values):
            own = [step.values[name].item() for step in steps if name in step.values]
            values[name] = sum(own) / len(own)
        self._since, self._steps = now, []
        return values


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; the lock ends with the process, however it ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingError(
                f"{folder}: another process is training here; expected it to end, or another folder"
            ) from None
        yield
    finally:
        os.close(descriptor)
