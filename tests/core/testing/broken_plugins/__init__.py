"""Plugins of most kinds, each broken in one way; `test_broken.py` says what is reported of them.

Schedules and samplers are broken there, in many more ways.
"""

import aios_core
from aios_core.kinds import KINDS
from broken_plugins import evolution, files, media, networks, runs, texts  # noqa: F401  # each offers what is in it
from broken_plugins.offers import OFFERS

AIOS_API = 1

for _kind in OFFERS:
    globals()[KINDS[_kind].hook] = aios_core.hookimpl(lambda kind=_kind: OFFERS[kind])
