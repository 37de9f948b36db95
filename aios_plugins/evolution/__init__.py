"""What a run becomes after its training: the gate, the journal, skill cards and the probe.

The history that keeps versions of a run is the `Journal`; `loop` makes them, and `gate` decides
which may stay. Commands, levels and a metric use the rest. It is imported only when it is used.
"""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_histories() -> dict[str, str]:
    """Names and where their histories are defined."""
    return {"journal": "aios_plugins.evolution.history:Journaled"}
