"""The error hierarchy. A message says what is wrong, where, and what would be right.

The command line turns every `AIOSError` into one message on stderr and exit code 2, and so it does
with what is foreseen of other libraries and of the system (`aios_core.cli.boundary`); anything else
is a defect, with exit code 70. A message writes the parameter of a function that would mend it
between back quotes, as in `steps`: the command line puts its own option there.
"""

from __future__ import annotations

import importlib.util
import re
from typing import Final

from aios_core.redaction import redacted

_REFUSED: Final = (
    (re.compile(r"(?s)'(\w+)' must be ([<>]=? .*?): ([^:]*)"), "a number {}"),
    (re.compile(r"(?s)'(\w+)' must be in \(?(.*?),?\)? \(got (.*)\)"), "one of {}"),
)
"""How validators of attrs word a name, what they expect and what they got; and how we do."""


def refusal(error: Exception) -> str:
    """The message of a validator as ```name`: expected X, got Y``, any other as it is."""
    text = str(error.args[0] if error.args else "") or type(error).__name__
    for form, expected in _REFUSED:
        if match := form.fullmatch(text):
            return f"`{match[1]}`: expected {expected.format(match[2])}, got {match[3]}"
    return text


class AIOSError(Exception):
    """Root of every error that a user can cause and mend; it never shows a password of a URI."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(
            *(
                redacted(argument) if isinstance(argument, str) else argument
                for argument in arguments
            )
        )


class ConfigError(AIOSError):
    """One or more faults in a configuration, all of them reported at once.

    Attributes:
        problems: one line for each fault, ``where: key: what is wrong, what would be right``.
    """

    def __init__(self, *problems: str) -> None:
        self.problems = tuple(map(redacted, problems))
        super().__init__("\n".join(self.problems))


class PluginError(AIOSError):
    """A plugin is missing, broken, ambiguous or does not meet its contract."""


class DataError(AIOSError):
    """A data set cannot be read, or holds too little to do what was asked."""


class TrainingError(AIOSError):
    """Training cannot start or go on: the loss is not finite, the disk is full, ..."""


class ModelLoadError(AIOSError):
    """A checkpoint is missing, damaged, or belongs to something else."""


class ModelSaveError(AIOSError):
    """Weights cannot be written."""


class InferenceError(AIOSError):
    """Sampling was asked for something that it cannot do."""


class EvolutionError(AIOSError):
    """An adaptation was refused or cannot be undone."""


class StorageError(AIOSError):
    """A vector store cannot be opened, read or written.

    Attributes:
        row: index, among the rows that were given, of the one that is wrong; None where the fault
            is not that of one row.
    """

    row: int | None = None


class RowError(StorageError):
    """One of the rows that were given cannot be kept; none of them was.

    Attributes:
        row: its index among the rows that were given.
        id: of the row; None where it has none.
        what: the message without row and id, for who knows a better place: a line of a file.
    """

    def __init__(self, row: int, id: object, what: str) -> None:  # noqa: A002  # the column
        of = "" if id is None else f" (id {id!r})"
        super().__init__(f"row {row}{of}: {what}")
        self.row, self.id, self.what = row, id, redacted(what)


class QuantizationError(AIOSError):
    """A tensor cannot be quantized, or a quantized one cannot be read."""


class TokenizerError(AIOSError):
    """A tokenizer cannot be trained, loaded or applied."""


class MissingExtraError(AIOSError):
    """An optional dependency is not installed.

    Args:
        feature: what the user asked for, as in ``"aios ablate"``.
        extra: the extra of this distribution that brings it.
        missing: the module that could not be imported.
    """

    def __init__(self, feature: str, extra: str, missing: str) -> None:
        super().__init__(
            f"{feature} needs the module {missing!r}, which is not installed; "
            f"install it with: pip install 'ai-os-diffusion[{extra}]'"
        )


def require_extra(feature: str, extra: str, *modules: str) -> None:
    """Refuse at once what would otherwise fail after an hour of work; nothing is imported.

    Args:
        feature: as for `MissingExtraError`.
        extra: likewise.
        modules: that it brings.

    Raises:
        MissingExtraError: one of them is not installed.
    """
    for module in modules:
        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, ValueError):  # an import hook, or a test, that hides it
            spec = None
        if spec is None:
            raise MissingExtraError(feature, extra, module)
