"""What a training is made from: its data, and the learner for them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

from aios_core.files import manifest, new_folder, remove_folder
from aios_core.training import cues, initial
from aios_core.training.corpus import Corpus
from aios_core.training.learner import Learner
from aios_core.training.progress import announce

if TYPE_CHECKING:
    from torch import Tensor, nn

    from aios_core.config import Resolved
    from aios_core.training.checkpoint import Part, State
    from aios_core.training.data import Prepared
    from aios_core.training.initial import Initial
    from aios_core.training.learner import Step


class Learning(Protocol):
    """A network while it learns, as the loop of a training sees it."""

    @property
    def model(self) -> nn.Module:
        """The network, with the weights as the optimiser sees them."""
        ...

    @property
    def tokens(self) -> int:
        """Positions of a row."""
        ...

    @property
    def row(self) -> tuple[str, str]:
        """A row in words, and what makes it smaller."""
        ...

    def begin(self, initial: Initial) -> None:
        """Take over weights of another run, as far as they fit."""
        ...

    def step(self, step: int) -> Step:
        """Do one step, by its number from 0."""
        ...

    def held_out_loss(self) -> float:
        """Of held-out rows, under the averaged weights."""
        ...

    def parts(self) -> dict[Part, dict[str, Tensor]]:
        """All that a checkpoint keeps."""
        ...

    def restore(self, checkpoint: Path, state: State) -> None:
        """Become what was saved."""
        ...


class Material(Protocol):
    """The data of a training, and what follows from what kind of data they are."""

    @property
    def maker(self) -> str:
        """Fingerprint of what made states of the data: the tokenizer, or the codecs."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hex digest of both splits and the maker."""
        ...

    @property
    def data(self) -> str:
        """Hex digest of all that weights follow from besides the configuration."""
        ...

    @property
    def begins(self) -> Initial | None:
        """The weights to begin with; None: random ones."""
        ...

    @property
    def embedding(self) -> str:
        """Who made the vectors of the memories trained with; empty: there are none."""
        ...

    def keep(self, folder: Path) -> None:
        """Write the maker into the folder of a run."""
        ...

    def facts(self, folder: Path) -> dict[str, Any]:
        """What a lock file says of the data."""
        ...

    def learner(self) -> Learning:
        """A network at its beginning."""
        ...

    def announce(self, parameters: int, first: int, seconds: float) -> None:
        """Say what the training is, once it is known what a step takes."""
        ...

    def __str__(self) -> str:
        """The data, in words."""
        ...


@frozen(slots=False)
class Texts:
    """Texts with their tokenizer, for the network of one modality."""

    resolved: Resolved
    prepared: Prepared

    @cached_property
    def begins(self) -> Initial | None:
        """Those of ``training.init_from``, which are of the same tokens."""
        begins = initial.opened(self.resolved)
        if begins:
            begins.check(self.resolved, self.prepared.tokenizer)
        return begins

    @cached_property
    def data(self) -> str:
        """Of the texts, the cues of rows, and the weights to begin with."""
        return initial.data_of(self.prepared.trained_on(self.resolved.config), self.begins)

    @property
    def maker(self) -> str:
        """Of the tokenizer."""
        return self.prepared.tokenizer.fingerprint

    @property
    def fingerprint(self) -> str:
        """Of both splits and the tokenizer."""
        return self.prepared.fingerprint

    @property
    def embedding(self) -> str:
        """Of the memories."""
        return cues.source(self.resolved.config, self.prepared.tokenizer).maker

    def keep(self, folder: Path) -> None:
        """The tokenizer, in a folder of that name."""
        kept(folder / "tokenizer", self.prepared.tokenizer.save)

    def facts(self, folder: Path) -> dict[str, Any]:
        """Digests, numbers of tokens, and the files of the tokenizer."""
        return {
            "fingerprint": self.data,
            "texts": self.fingerprint,
            "train_tokens": len(self.prepared.train.ids),
            "held_out_tokens": len(self.prepared.held_out.ids),
            "tokenizer": manifest(folder / "tokenizer"),
        }

    def learner(self) -> Learner:
        """Of a network of tokens."""
        return Learner(self.resolved.config, self.prepared)

    def announce(self, parameters: int, first: int, seconds: float) -> None:
        """See `progress.announce`."""
        announce(self.resolved.config, self.prepared, parameters, first, seconds)

    def __str__(self) -> str:
        return str(Corpus(self.resolved))


def kept(folder: Path, save: Callable[[Path], None]) -> None:
    """Write a folder whole, in the place of one of a run that ended before its first checkpoint."""
    if folder.exists():
        remove_folder(folder)
    with new_folder(folder) as temporary:
        save(temporary)
