"""Denoising as a person can watch it: one text in the terminal, new tokens lit up."""

from __future__ import annotations

import time
from itertools import groupby
from typing import TYPE_CHECKING, Final

from aios_core.terminal import Shown

if TYPE_CHECKING:
    from rich.text import Text

    from aios_core.contracts import TrainedTokenizer
    from aios_core.inference import Update

_PAUSE: Final = 0.06
"""Seconds a step is shown: a small network would be done before one can look."""

_STYLES: Final = {"given": "bold", "new": "bold black on green", "old": "", "masked": "dim"}


def printable(text: str) -> str:
    """Text that does no harm to a terminal: a young network writes any byte, escapes included."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else "\ufffd"
        for character in text
    )


class Screen(Shown):
    """A context manager that redraws the first text of a batch; silent where there is no terminal.

    Args:
        tokenizer: of the model.
    """

    def __init__(self, tokenizer: TrainedTokenizer) -> None:
        from rich.console import Console
        from rich.live import Live

        self._tokenizer, self._done = tokenizer, False
        self._live = Live(
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,  # the finished text follows on stdout
            vertical_overflow="visible",
        )
        super().__init__(self._live)

    def show(self, update: Update) -> None:
        """Draw one state; of several batches the first is shown."""
        if self._live.is_started and not self._done:
            text = frame(self._tokenizer, update)
            text.append(f"\n\nstep {update.step}, {update.nfe} network calls", style="dim")
            self._live.update(text, refresh=True)
            time.sleep(_PAUSE)
        self._done = self._done or update.output is not None


def frame(tokenizer: TrainedTokenizer, update: Update) -> Text:
    """The first text of a batch: given bold, new ones lit, masks as light blocks."""
    from rich.text import Text

    ids, given, new = update.token_ids[0], update.given[0], update.new[0]

    def style(position: int) -> str:
        if ids[position] == tokenizer.vocabulary.mask_id:
            return "masked"
        return "given" if given[position] else "new" if new[position] else "old"

    text = Text()
    # Runs of one style are decoded at once: a letter may be several tokens long.
    for name, positions in groupby(range(len(ids)), key=style):
        run = [ids[position] for position in positions]
        shown = "░" * len(run) if name == "masked" else printable(tokenizer.decode(run))
        text.append(shown, _STYLES[name])
    return text
