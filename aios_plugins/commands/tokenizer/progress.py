"""How `aios tokenizer train` shows that it goes on: a bar for the files, and one for the merges."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from aios_core.terminal import Shown
from aios_plugins.commands.tokenizer.corpus import texts


class TokenizerProgress(Shown):
    """A context manager around the training.

    Args:
        files: that are read.
        vocab_size: tokens in the end.
        shown: False prints nothing at all; nor is anything printed where there is no terminal.
    """

    def __init__(self, files: Sequence[Path], vocab_size: int, *, shown: bool) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        self._files = files
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not (shown and sys.stderr.isatty()),
        )
        super().__init__(self._bar)
        size = sum(file.stat().st_size for file in files if file.is_file())
        self._reading = self._bar.add_task("counting words", total=max(size, 1))
        self._merging = self._bar.add_task("merging pairs", total=vocab_size, start=False)

    def read(self, field: str | None) -> Iterator[str]:
        """The texts of all files, as `aios_plugins.commands.tokenizer.corpus.texts` has them."""
        before = 0
        for file in self._files:
            for text, done in texts(file, field):
                self._bar.update(self._reading, completed=before + done)
                yield text
            before += file.stat().st_size
        self._bar.start_task(self._merging)

    def merged(self, tokens: int) -> None:
        """So many tokens there are."""
        self._bar.update(self._merging, completed=tokens)
