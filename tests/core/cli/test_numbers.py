"""Options that are numbers."""

import click
import pytest

from aios_core.cli.numbers import COUNT, Number, whole


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (Number(0, 1e6), "nan", "expected a number from 0 to 1000000.0, got nan"),
        (Number(0, 1e6), "1e400", "expected a number from 0 to 1000000.0, got 1e400"),
        (Number(0, 1e6), "-1", "expected a number from 0 to 1000000.0, got -1"),
        (Number(0, 1, above=True), "0", "expected a number above 0, at most 1, got 0"),
        (COUNT, "2.5", "expected a whole number from 1 to 2147483647, got 2.5"),
        (COUNT, "9" * 5000, "expected a whole number from 1 to 2147483647, got 9999"),
    ],
)
def test_a_number_that_is_none_or_outside_is_told(kind, value, expected):
    """Fault T8, N13: whatever is wrong with it, in one form."""
    with pytest.raises(click.BadParameter) as error:
        kind.convert(value, None, None)

    assert error.value.message.startswith(expected)


def test_a_number_inside_is_taken():
    assert (8, 0.25) == (
        whole(1, 8).convert("8", None, None),
        Number(0, 1).convert(0.25, None, None),
    )
