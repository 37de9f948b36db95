"""Hooks and kinds go together."""

from aios_core import hookspecs
from aios_core.kinds import KINDS


def test_there_is_a_hook_for_every_kind_and_no_other():
    hooks = {name for name in vars(hookspecs) if name.startswith("aios_")} - {"aios_core"}

    assert {kind.hook for kind in KINDS.values()} == hooks
