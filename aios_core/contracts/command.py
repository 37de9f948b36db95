"""Commands: what `aios` can do besides what the core does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click


class Command(ABC):
    """A command of `aios`, under the name that the hook gives it.

    `aios --help` shows the first line of the docstring of its class, which is read from the source:
    a command is imported when somebody uses it. `aios_core.cli.common`, ``network`` and ``numbers``
    have the arguments, options and tables that commands share.
    """

    @abstractmethod
    def build(self) -> click.Command:
        """The command, or a group of them, for click.

        Its help has examples, as those of the core have. It raises errors of `aios_core.errors`,
        which become messages and an exit code.
        """
