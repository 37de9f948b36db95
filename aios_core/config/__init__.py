"""Configuration: typed sections, read from TOML, resolved against the registry."""

from aios_core.config.resolve import Resolved, load, resolve, twin

__all__ = ["Resolved", "load", "resolve", "twin"]
