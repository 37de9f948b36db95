"""The contract suites: one file a kind, each a class to subclass."""

import pytest

from aios_core.kinds import KINDS

# What pytest does for test files by itself: failed asserts show the values on both sides.
pytest.register_assert_rewrite(
    *(kind.suite.partition(":")[0] for kind in KINDS.values() if kind.suite is not None),
    "aios_core.testing.filtering",
    "aios_core.testing.keeping",
    "aios_core.testing.naming",
    "aios_core.testing.searching",
    "aios_core.testing.sharing",
    "aios_core.testing.stores",
)
