"""A query vector from a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aios_core.errors import DataError
from aios_core.files import no_file


def read_vector(path: Path) -> Any:
    """The vector in a file: a list of numbers in JSON, or one dimension of .npy.

    Raises:
        DataError: it cannot be read, or holds something else.
    """
    import numpy as np

    if wrong := no_file(path):
        raise DataError(f"{path}: {wrong}; expected a list of numbers in JSON, or .npy")
    try:
        if path.suffix.lower() == ".npy":
            vector = np.load(path, allow_pickle=False)
        else:
            vector = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, EOFError, RecursionError) as error:
        raise DataError(f"{path}: expected a list of numbers in JSON, or .npy: {error}") from error
    if isinstance(vector, list) and vector and set(map(type, vector)) <= {int, float}:
        return vector
    if isinstance(vector, np.ndarray) and vector.ndim == 1 and vector.dtype.kind in "fiu":
        return vector
    if isinstance(vector, np.ndarray):
        raise DataError(
            f"{path}: expected numbers in one dimension, got {vector.dtype} {vector.shape}"
        )
    raise DataError(f"{path}: expected a list of numbers, got {json.dumps(vector)[:60]}")
