"""Configuration: typed sections, read from TOML, resolved against the registry."""

from aios_core.config.keys import training_key, trial_key
from aios_core.config.lock import write_lock
from aios_core.config.resolve import Resolved, load, resolve, twin
from aios_core.config.sweep import Trial, trials

__all__ = [
    "Resolved",
    "Trial",
    "load",
    "resolve",
    "training_key",
    "trial_key",
    "trials",
    "twin",
    "write_lock",
]
