"""Whose code an exception came from, where that is a plugin of someone else."""

from __future__ import annotations

from types import FrameType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aios_core.component import Component

_OURS: Final = "ai-os-diffusion"


def culprit(error: BaseException) -> str | None:
    """The component that an exception left last, as messages name it; None for ours alone."""
    from aios_core.registry import Registry

    offered = [
        component
        for component in Registry.discover(environ={}).offers()
        if component.distribution != _OURS
    ]
    faulty = None
    trace = error.__traceback__
    while trace is not None:
        faulty = _component(trace.tb_frame, offered) or faulty
        trace = trace.tb_next
    return faulty and f"{faulty.key} of {faulty.source}"


def _component(frame: FrameType, offered: Iterable[Component]) -> Component | None:
    """What a frame runs a method of, or else the first component of its module."""
    module = frame.f_globals.get("__name__", "")
    inside = [component for component in offered if component.place.partition(":")[0] == module]
    classes = {
        f"{cls.__module__}:{cls.__qualname__}" for cls in type(frame.f_locals.get("self")).__mro__
    }
    return next(
        (component for component in inside if component.place in classes), next(iter(inside), None)
    )
