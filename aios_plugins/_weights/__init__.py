"""Weights in Parquet: files that any Arrow reader opens, and that start a model at once.

FORMAT.md in this folder is the specification, with the promise that it makes. Shared by the format
`parquet` and the commands that look into such files; whoever wants the tensors of any file has
`aios_core.formats.open_tensors`.
"""

from aios_plugins._weights.file import WeightFile
from aios_plugins._weights.layout import Entry
from aios_plugins._weights.loader import WeightLoader

__all__ = ["Entry", "WeightFile", "WeightLoader"]
