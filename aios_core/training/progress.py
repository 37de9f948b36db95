"""How training shows that it goes on: a bar on a terminal, a few log lines elsewhere."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from aios_core.terminal import Shown
from aios_core.training.layout import Framing
from aios_core.training.overlap import trained_on
from aios_core.training.yardsticks import yardsticks

if TYPE_CHECKING:
    from aios_core.config.schema import Config
    from aios_core.training.data import Prepared

log = logging.getLogger(__name__)

_LINES = 10
"""Log lines a run, where there is no terminal."""

_SAID = {"loss": "loss", "held_out_loss": "held-out"}
"""What is shown of what is measured, by its name there."""


class TrainingProgress(Shown):
    """A context manager around the optimiser's loop.

    Args:
        label: what is being trained.
        steps: of the whole run.
        done: steps that an earlier process did.
        shown: False prints nothing at all.
    """

    def __init__(self, label: str, steps: int, done: int, *, shown: bool) -> None:
        self._label, self._steps, self._shown = label, steps, shown
        self._lines = -1  # what a step takes is said as soon as it is known
        self._first, self._began = done, time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[said]}"),
            console=Console(stderr=True),
            disable=not (shown and sys.stderr.isatty()),
        )
        super().__init__(self._bar)
        self._task = self._bar.add_task(label, total=steps, completed=done, said="")
        self._said: dict[str, str] = {}

    def advance(self, done: int, values: Mapping[str, float]) -> None:
        """One more step is done.

        Args:
            done: steps so far.
            values: what was measured at this step, if anything: ``loss``, averaged since the last
                time, and ``held_out_loss``, both in nats a token.
        """
        self._bar.update(self._task, completed=done)
        if not values:
            return
        self._said |= {
            name: f"{text} {values[name]:.3f}" for name, text in _SAID.items() if name in values
        }
        self._bar.update(self._task, said=self._words(self._said))
        tenth = done * _LINES // self._steps
        if self._shown and self._bar.disable and tenth > self._lines:
            self._lines = tenth
            # A held-out loss of an earlier step is not said again as if it were of this one.
            said = self._words(name for name in values if name in _SAID)
            spent = time.monotonic() - self._began
            left = spent / (done - self._first) * (self._steps - done)
            log.info(
                "%s: step %d of %d%s; %s passed, about %s left",
                self._label,
                done,
                self._steps,
                f", {said}" if said else "",
                _clock(spent),
                _clock(left),
            )

    def _words(self, names: Iterable[str]) -> str:
        chosen = set(names)
        return ", ".join(self._said[name] for name in _SAID if name in chosen)


def _clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    return str(timedelta(seconds=round(seconds)))


def announce(
    config: Config, prepared: Prepared, parameters: int, first: int, seconds: float
) -> None:
    """Say what a training is: the network, the texts, the steps and their time, and the twin.

    Args:
        config: its configuration.
        prepared: its texts.
        parameters: of the network.
        first: steps that were done before.
        seconds: that a step takes.
    """
    training = config.training
    sequences = training.steps * training.batch_size * training.accumulate
    train, held_out = prepared.train.rows, prepared.held_out.rows
    known = trained_on(train, held_out)
    splits = (
        f"{train.learned:,} tokens in {_rows(len(train))} to train on, {held_out.learned:,} tokens "
        f"in {_rows(len(held_out))} held out, {known:,} of which are trained on as well"
    )
    for number, source in enumerate(train.sources):
        own = int(np.count_nonzero(train.source == number))
        splits += f"; {source.share:.3g} of the rows drawn are of the {own:,} of {source.name}"
    twin = (
        f"; then {training.steps} steps of its autoregressive twin, which judges samples, in about "
        "as much time (evaluation.twin = false goes without)"
        if config.mode == "diffusion" and config.evaluation.twin
        else ""
    )
    log.info(
        "%s (%s): %s parameters; %s; %d steps of %d x %d tokens are %.3g epochs, in about %s%s%s",
        config.name,
        config.mode,
        f"{parameters:,}",
        splits,
        training.steps,
        training.batch_size * training.accumulate,
        config.diffusion.length,
        prepared.train.framed(Framing.of(config)).epochs(config.seed, sequences),
        _clock(seconds * (training.steps - first)),
        f" from step {first + 1:,} on" if first else "",
        twin,
    )
    if known:
        log.warning(
            "%s: %d of %s held out stand among those to train on, token by token, so that the "
            "held-out loss is in part of what was learned; expected others to be held out",
            config.name,
            known,
            _rows(len(held_out)),
        )
    reached = yardsticks(prepared.train.rows, prepared.held_out, prepared.tokenizer.vocabulary)
    log.info(
        "%s: who learns nothing reaches %.3f nats a held-out token (uniform, perplexity %.4g), and "
        "counts of tokens alone reach %.3f (unigram, perplexity %.4g); lower is better",
        config.name,
        reached["uniform"],
        math.exp(reached["uniform"]),
        reached["unigram"],
        math.exp(reached["unigram"]),
    )
    if config.mode == "diffusion":
        log.info(
            "%s: the held-out losses on the way are of at most %d windows, each under one draw of "
            "noise, so that the bound at the end, which is of all of them, differs somewhat",
            config.name,
            training.evaluate_windows,
        )


def _rows(number: int) -> str:
    return f"{number:,} row{'' if number == 1 else 's'}"
