"""Configuration: typed sections, read from TOML, resolved against the registry."""

from aios_core.config.resolve import Resolved, load, resolve, twin
from aios_core.config.sweep import Trial, trials

__all__ = ["Resolved", "Trial", "load", "resolve", "trials", "twin"]
