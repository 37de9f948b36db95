"""Every hook. All of them collect: they take no arguments, return names, and never choose."""

from __future__ import annotations

import pluggy

from aios_core import PROJECT

hookspec = pluggy.HookspecMarker(PROJECT)


@hookspec
def aios_noise_schedulers() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Noise schedules."""


@hookspec
def aios_samplers() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Samplers."""


@hookspec
def aios_projection_heads() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Heads."""


@hookspec
def aios_backbones() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Backbones."""


@hookspec
def aios_tokenizers() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Tokenizers."""


@hookspec
def aios_datasets() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Data sets."""


@hookspec
def aios_metrics() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Metrics."""


@hookspec
def aios_executors() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Executors."""


@hookspec
def aios_trackers() -> dict[str, str | type]:  # type: ignore[empty-body]
    """Trackers."""
