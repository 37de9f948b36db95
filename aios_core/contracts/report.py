"""Reports: what an ablation found, written for those who read it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol


class Summary(Protocol):
    """A sample of numbers, one for each seed; without bounds where there is one seed."""

    @property
    def n(self) -> int:
        """How many there are."""
        ...

    @property
    def mean(self) -> float:
        """Their mean."""
        ...

    @property
    def sd(self) -> float | None:
        """Their standard deviation."""
        ...

    @property
    def low(self) -> float | None:
        """Lower bound of the 95 % interval of the mean."""
        ...

    @property
    def high(self) -> float | None:
        """Its upper bound."""
        ...

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside the interval; never, where there is none."""
        ...


class Trial(Protocol):
    """One combination of settings and a seed."""

    @property
    def key(self) -> str:
        """Digest of what decides it."""
        ...

    @property
    def training_key(self) -> str:
        """Of the training that its network comes from."""
        ...

    @property
    def arm(self) -> str:
        """Label of its arm."""
        ...

    @property
    def baseline(self) -> bool:
        """Whether its arm is the one that others are compared with."""
        ...

    @property
    def seed(self) -> int:
        """Its seed."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """What varies, the seed among it."""
        ...

    @property
    def status(self) -> str:
        """``"done"``, ``"failed"`` or ``"missing"``."""
        ...

    @property
    def values(self) -> Mapping[str, float]:
        """Every measured value by name."""
        ...

    @property
    def model(self) -> Mapping[str, Any]:
        """All that is stored of its network; empty where there is none."""
        ...

    @property
    def result(self) -> Mapping[str, Any]:
        """All that is stored of it, its texts or the ``reason`` of its failure among it."""
        ...


class Arm(Protocol):
    """Trials that differ in their seed alone."""

    @property
    def label(self) -> str:
        """What tells it from other arms."""
        ...

    @property
    def baseline(self) -> bool:
        """Whether it is the arm that others are compared with."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """What varies, without the seed."""
        ...

    @property
    def trials(self) -> Sequence[Trial]:
        """One a seed."""
        ...

    def by_seed(self, name: str) -> Mapping[int, float]:
        """A value of every trial that has it."""
        ...

    def summary(self, name: str) -> Summary | None:
        """Of a value over seeds; None where no trial has it."""
        ...


class AblationResults(Protocol):
    """An ablation as it stands in its folder: `aios_core.experiment.results.Results`."""

    @property
    def folder(self) -> Path:
        """Where it is stored, and where reports go."""
        ...

    @property
    def about(self) -> Mapping[str, Any]:
        """Its ``name``, the ``source`` of its configuration, ``command``, ``versions``."""
        ...

    @property
    def trials(self) -> Sequence[Trial]:
        """All of them, also those that failed or are missing."""
        ...

    @property
    def models(self) -> Mapping[str, Mapping[str, Any]]:
        """By key, the networks of trials and their twins: ``settings``, ``seed``, ``twin``, ..."""
        ...

    @property
    def arms(self) -> Sequence[Arm]:
        """The trials by their settings."""
        ...

    @property
    def baseline(self) -> Arm:
        """The arm that others are compared with."""
        ...

    @property
    def compared(self) -> Mapping[str, Mapping[str, Any]]:
        """Name to ``unit`` and ``better`` of what arms are compared by."""
        ...

    @property
    def headline(self) -> str | None:
        """The first of them of which one value may be better."""
        ...

    @property
    def loses_text(self) -> bool:
        """Whether a network has no value in bits a byte because its tokenizer loses text."""
        ...

    def metrics(self) -> Mapping[str, Mapping[str, Any]]:
        """Name to ``unit`` and ``better`` of what was measured of samples."""
        ...

    def model_metrics(self) -> Mapping[str, Mapping[str, Any]]:
        """The same of networks."""
        ...

    def reference(self, name: str) -> float | None:
        """What held-out texts have for a metric of samples."""
        ...

    def by_distance(self, name: str) -> bool:
        """Whether arms are compared by how far they are from held-out texts, not by the value."""
        ...

    def judged(self, arm: Any, name: str) -> Mapping[int, float]:
        """What an arm is compared by, one number a seed: its values or, see above, distances."""
        ...

    def distance(self, arm: Any, name: str) -> Summary | None:
        """The same over seeds; None where no trial has it."""
        ...

    def difference(self, arm: Any, name: str) -> Summary | None:
        """What an arm is judged by less the baseline's, seed by seed; None for the baseline."""
        ...

    def verdict(self, arm: Any, name: str) -> Literal["better", "worse"] | None:
        """Whether an arm differs from the baseline by more than its seeds do."""
        ...

    def scores(self, arm: Any, name: str) -> Mapping[int, float]:
        """How bad an arm is by a metric, one number a seed, lower being better; may be empty."""
        ...

    def best(self, name: str) -> tuple[Arm, bool] | None:
        """The arm with the best mean, and whether seeds tell it from every other arm."""
        ...

    def rivals(self, label: str, name: str) -> Sequence[Arm]:
        """The other arms that seeds do not tell to be worse than an arm."""
        ...


class Report(ABC):
    """Writes what an ablation found into its folder."""

    @abstractmethod
    def write(self, results: AblationResults) -> Path:
        """Write it, replacing what an earlier call wrote; an ablation may lack results still.

        Args:
            results: of the ablation. Texts of models and settings in it are untrusted.

        Returns:
            The file, below ``results.folder``, that a reader opens first.

        Raises:
            MissingExtraError: as `check` does.
        """

    def check(self) -> None:  # noqa: B027  # most need nothing
        """Refuse before any training what would fail after it; by default nothing.

        Raises:
            MissingExtraError: a module that it needs is not installed.
        """
