"""Histories: what a run became after it was trained, version by version."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from aios_core.contracts.level import Adaptation, EvolutionLevel
    from aios_core.contracts.model import Network
    from aios_core.contracts.tokenizer import TrainedTokenizer


class TrainedRun(Protocol):
    """A run as it was trained."""

    @property
    def model(self) -> Network:
        """Its network, without any version."""
        ...

    @property
    def tokenizer(self) -> TrainedTokenizer:
        """Of its texts."""
        ...

    @property
    def run_folder(self) -> Path:
        """Where it lies."""
        ...

    def level(self, name: str) -> EvolutionLevel:
        """The evolution level of a registry name, with its defaults.

        Raises:
            PluginError: there is none, or it cannot be used.
        """
        ...


class History(ABC):
    """Keeps what levels learn after a training, as versions that can be used and taken back.

    A version is what a level learned on top of the version before it, or of the network as it was
    trained. One of them is the head, which the run stands for. All of it lies in the folder of the
    run that `aios_core.training.history.claim` gives: a run has one history, and what lies there
    names it. Files of others are untrusted, and the network as it was trained never stands in for a
    version that cannot be read. A whole history is in ``aios_core/scaffold/examples/history.py``.
    """

    name: ClassVar[str]
    """Registry name: what a folder says, so that it is read by the history that wrote it."""

    @abstractmethod
    def versions(self, run: Path) -> Sequence[str]:
        """Ids of the versions of a run, damaged ones too.

        Args:
            run: its folder, of which nothing is changed.

        Raises:
            EvolutionError: the folder cannot be read.
        """

    @abstractmethod
    def find(self, run: Path, name: str | None = None) -> str | None:
        """Id of the version that a name stands for; None: the network as it was trained.

        Args:
            run: its folder, of which nothing is changed.
            name: an id, or what else the history knows a version by; ``"base"``: as it was trained;
                None: the head.

        Raises:
            EvolutionError: there is none, or what says which is damaged.
        """

    @abstractmethod
    def at(self, trained: TrainedRun, version: str) -> Network:
        """The network of a version, in evaluation mode; the one as it was trained stays as it is.

        Args:
            trained: the run, without any version.
            version: its id.

        Raises:
            EvolutionError: it is missing, damaged, withdrawn, or of another network or tokenizer.
        """

    @abstractmethod
    def keep(self, trained: TrainedRun, level: str, adaptation: Adaptation) -> str:
        """Keep what a level learned on the head as a version, which is the head from now on.

        Whatever stops the process, the head is a version that is whole. The same adaptation on the
        same head may be the same version.

        Args:
            trained: the run, without any version.
            level: registry name of the level, which applies it.
            adaptation: of the head.

        Returns:
            Its id.

        Raises:
            EvolutionError: it does not fit, or cannot be written; the head stays where it was.
        """

    @abstractmethod
    def faults(self, trained: TrainedRun) -> Sequence[str]:
        """What is wrong with the files of the versions, each with its path; nothing is repaired."""
