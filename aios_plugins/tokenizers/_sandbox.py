"""Templates of others, run with nothing but what a chat template needs, and not for long.

They come with a model and are as untrusted as its other files. Jinja's sandbox keeps them from
Python's insides; here filters, methods and names are those of a short list as well, none of which
depends on the day or on chance, and whatever makes or walks a value pays for it from a budget.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from aios_core.errors import MissingExtraError

MAX_TEMPLATE: Final = 1 << 18
"""Characters of a template."""
WORK: Final = 1 << 22
"""Units that a rendering may cost beside 64 a character of its turns: a character that is made or
read costs 1, an item 16, each pass of a loop and each call of a macro 40 and the text in it."""
MAX_BITS: Final = 256
"""Of numbers that are multiplied."""
DEPTH: Final = 32
"""Most lists and tables within each other."""
SECONDS: Final = 10
"""Most that it may take, for what costs more time than units."""


class RefusedError(Exception):
    """What a template says against its turns, by ``raise_exception``."""


class CostlyError(ValueError):
    """A template requires more than it may have."""


class Sandbox:
    """A template that is ready to be rendered.

    Args:
        text: the template.

    Raises:
        MissingExtraError: jinja2 is not installed, or in a version that is not safe.
        ValueError: the text is no template, or needs what there is not.
    """

    def __init__(self, text: str) -> None:
        if len(text) > MAX_TEMPLATE:
            raise ValueError(f"expected at most {MAX_TEMPLATE} characters, got {len(text)}")
        try:
            from aios_plugins.tokenizers import _jinja
        except ImportError as error:
            raise MissingExtraError("a chat template", "chat", "jinja2>=3.1.6") from error
        self._environment = _jinja.Metered()
        self._template = self._environment.compiled(text)
        self._lock = threading.Lock()

    def render(self, turns: list[dict[str, str]], names: Mapping[str, str]) -> str:
        """The text of a chat.

        Args:
            turns: each with ``role`` and ``content``.
            names: of special tokens, as in ``{"bos_token": "<s>"}``.

        Raises:
            RefusedError: the template refuses the turns.
            ValueError: it fails, or takes too much.
        """
        given = {"messages": turns, "add_generation_prompt": False}
        size = sum(len(turn["content"]) for turn in turns)
        with self._lock:
            self._environment.begin(WORK + 64 * size)
            try:
                text: str = self._template.render({**names, **given, "tools": None})
            except (RefusedError, CostlyError):
                raise
            except Exception as error:  # of whatever it does with its turns
                raise ValueError(f"{type(error).__name__}: {error}"[:300]) from error
        return text


@lru_cache(maxsize=8)
def sandbox(text: str) -> Sandbox:
    """A template, made ready once."""
    return Sandbox(text)
