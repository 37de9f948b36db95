"""Weights in Parquet: files that any Arrow reader opens, and that start a model at once.

FORMAT.md in this folder is the specification, with the promise that it makes.
"""

from aios_core.weights.file import WeightFile
from aios_core.weights.layout import Entry
from aios_core.weights.loader import WeightLoader

__all__ = ["Entry", "WeightFile", "WeightLoader"]
