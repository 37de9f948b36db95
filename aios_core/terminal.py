"""What is shown on a terminal while work goes on."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.live import Live
    from rich.progress import Progress


class Shown:
    """A context manager that shows a display while it is open, where stderr is a terminal.

    Args:
        display: of rich, not started.
    """

    def __init__(self, display: Progress | Live) -> None:
        self.__display = display
        self.on_terminal = sys.stderr.isatty()

    def __enter__(self) -> Self:
        if self.on_terminal:
            self.__display.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__display.stop()
