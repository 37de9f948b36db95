"""By which names databases keep columns."""

import pytest

from aios_core.contracts import store_schema
from aios_plugins.storage._names import is_plain, kept_names


def test_a_name_that_any_database_takes_is_kept_and_the_others_are_numbers():
    """Of their places; names that differ in letter case alone are one to some databases."""
    own = ["year", "Size", "a1_", "x" * 63]
    others = ["Title", "title", "XMIN", "ctid", "ID", "Vector", "x" * 64, "1st", "a b", "ü", "a-b"]
    schema = store_schema(2, dict.fromkeys([*own, *others], "int64"))
    expected = {name: name for name in ("id", "text", "vector", *own)}
    expected |= {name: f"_{schema.names.index(name)}" for name in others}

    assert expected == kept_names(schema)
    assert len(schema.names) == len({name.lower() for name in kept_names(schema).values()})


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("a", True),
        ("_3", True),
        ("A_b9", True),
        ("9a", True),
        ("", False),
        ("_", False),
        ("__a", False),
        ("a b", False),
        ("a.b", False),
        ("ü", False),
        ("a\n", False),
    ],
)
def test_a_plain_name_means_nothing_else(name, plain):
    assert plain == is_plain(name)
