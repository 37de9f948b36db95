"""The data of a training of several modalities; see `aios_core.training.material`."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from aios_core.errors import TrainingError
from aios_core.files import manifest
from aios_core.joint.learner import JointLearner
from aios_core.joint.patterns import Trained, patterns_of
from aios_core.joint.rows import JointRows, prepare
from aios_core.training import initial
from aios_core.training.material import kept

if TYPE_CHECKING:
    from aios_core.config import Resolved
    from aios_core.training.initial import Initial

log = logging.getLogger(__name__)

FOLDER = "modalities"
"""In the folder of a run: a folder for the codec of each modality."""

ASKED = "segments.json"
"""In that folder: `JointRows.groups`."""


@frozen(slots=False)
class Media:
    """Rows of several modalities with their codecs."""

    resolved: Resolved
    rows: JointRows

    @classmethod
    def of(cls, resolved: Resolved) -> Media:
        """Read the data set of a configuration.

        Raises:
            DataError: a row or an item of it is refused.
        """
        return cls(resolved, prepare(resolved))

    @cached_property
    def begins(self) -> Initial | None:
        """Those of ``training.init_from``, which are of the same codecs."""
        begins = initial.opened(self.resolved)
        if begins and begins.tokenizer not in {"", self.maker}:
            raise TrainingError(
                f"{begins}: its codecs, or its tokenizer, are others than those of this run; "
                "expected a run of the same [[modalities]] on the same data"
            )
        return begins

    @cached_property
    def data(self) -> str:
        """Of the rows, their codecs, and the weights to begin with."""
        return initial.data_of(self.fingerprint, self.begins)

    @property
    def maker(self) -> str:
        """Of the codecs."""
        return self.rows.maker

    @cached_property
    def fingerprint(self) -> str:
        """Of both splits and the codecs."""
        return self.rows.fingerprint

    @property
    def embedding(self) -> str:
        """There are no memories."""
        return ""

    @cached_property
    def trained(self) -> Trained:
        """What is asked of the rows to train on."""
        return Trained(patterns_of(self.resolved.config, self.rows.groups))

    def keep(self, folder: Path) -> None:
        """The codecs, each in a folder of its own."""

        def save(into: Path) -> None:
            for name, codec in self.rows.codecs.items():
                (into / name).mkdir()
                codec.save(into / name)
            (into / ASKED).write_text(json.dumps(self.rows.groups), encoding="utf-8")

        kept(folder / FOLDER, save)

    def facts(self, folder: Path) -> dict[str, Any]:
        """Digests, numbers of rows, and the files of the codecs."""
        return {
            "fingerprint": self.data,
            "texts": self.fingerprint,
            "train_rows": len(self.rows.train),
            "held_out_rows": len(self.rows.held_out),
            "codecs": {name: manifest(folder / FOLDER / name) for name in sorted(self.rows.codecs)},
        }

    def learner(self) -> JointLearner:
        """Of a network of all modalities."""
        return JointLearner(self.resolved.config, self.rows)

    def announce(self, parameters: int, first: int, seconds: float) -> None:
        """The network, the rows, what is asked of them, the steps and their time."""
        config = self.resolved.config
        training, batch = config.training, config.training.batch_size * config.training.accumulate
        lengths = ", ".join(f"{name} in {codec.length}" for name, codec in self.rows.codecs.items())
        log.info(
            "%s: %s parameters; rows of %s positions, %s to train on and %s held out; %d steps of "
            "%d rows are %.3g epochs, in about %s",
            config.name,
            f"{parameters:,}",
            lengths,
            f"{len(self.rows.train):,}",
            f"{len(self.rows.held_out):,}",
            training.steps,
            batch,
            training.steps * batch / len(self.rows.train),
            timedelta(seconds=round(seconds * (training.steps - first))),
        )
        log.info("%s: learns to make %s", config.name, self.trained)

    def __str__(self) -> str:
        return f"the data set {self.resolved.values['dataset']['type']!r}"
