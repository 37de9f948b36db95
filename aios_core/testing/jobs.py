"""Jobs for the contract of executors, in a module that a new process imports at once.

Beside the contract itself every process of a pool would import torch to find them.
"""

from __future__ import annotations

from pathlib import Path

from aios_core.errors import TrainingError


def add(a: int, b: int) -> int:
    """The sum."""
    return a + b


def divide(a: int, b: int) -> float:
    """The quotient; raises where b is 0."""
    return a / b


def refuse(message: str) -> None:
    """Raise an error that is meant for a user."""
    raise TrainingError(message)


def follow(folder: str, name: str, before: str | None) -> bool:
    """Leave a file behind; whether that of another job is there already."""
    Path(folder, name).touch()
    return before is None or Path(folder, before).exists()
