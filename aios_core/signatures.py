"""What a file is by its first bytes, for the words of an error and for formats of tensors."""

from __future__ import annotations

from typing import Final

_MAGIC: Final = {
    b"PK\x03\x04": "torch",  # its files are zip archives since 2020
    b"\x80\x02\x8a": "torch",
    b"GGUF": "GGUF",
    b"ARROW1": "Arrow IPC",
    b"\x93NUMPY": "numpy",
    b"\x89HDF": "HDF5",
    b"PAR1": "Parquet",
}

READ: Final = ("safetensors", "torch")
"""Kinds beside our own of which `aios weights convert` makes a weight file."""


def kind(head: bytes) -> str | None:
    """The kind of a file.

    Args:
        head: its first 16 bytes, or all of them if there are fewer.

    Returns:
        A name such as ``"safetensors"``; None where the bytes are none that is known.
    """
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return name
    # The length of a JSON object, which follows.
    if len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32:
        return "safetensors"
    return None
