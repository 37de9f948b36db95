"""Options that are numbers: each has both bounds, and one message says what is expected.

Commands of plugins may import it.
"""

from __future__ import annotations

from typing import Any, Final

import click


class Number(click.ParamType[int | float]):
    """A number with both bounds.

    Args:
        least: the smallest one.
        most: the largest one.
        whole: whether it must be a whole number.
        above: whether it must be more than the least.
    """

    name = "number"

    def __init__(
        self, least: float, most: float, *, whole: bool = False, above: bool = False
    ) -> None:
        self.least, self.most, self.whole, self.above = least, most, whole, above

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | float:
        """The number, if it is one and inside; NaN is neither."""
        try:
            number: int | float = (int if self.whole else float)(value)
        except ValueError:
            number = float("nan")
        inside = self.least < number if self.above else self.least <= number
        if not (inside and number <= self.most):
            kind = "a whole number" if self.whole else "a number"
            least = f"above {self.least:g}, at most" if self.above else f"from {self.least} to"
            self.fail(f"expected {kind} {least} {self.most}, got {str(value)[:40]}", param, ctx)
        return number


def whole(least: int, most: int) -> Number:
    """A whole number with both bounds."""
    return Number(least, most, whole=True)


COUNT: Final = whole(1, 2**31 - 1)
"""A number of things."""

SEED: Final = whole(0, 2**63 - 1)
"""What a configuration takes as a seed."""
