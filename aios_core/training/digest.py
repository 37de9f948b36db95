"""Digests that identify models and tensors, whatever file or device holds them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import Network


def tensor_digest(tensor: Tensor) -> str:
    """SHA-256 of type, shape and every bit of a tensor."""
    import torch

    flat = tensor.detach().cpu().contiguous()
    digest = hashlib.sha256(f"{flat.dtype} {tuple(flat.shape)}\n".encode())
    digest.update(flat.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of named tensors, in whatever order they come."""
    return text_digest(f"{name} {tensor_digest(tensors[name])}" for name in sorted(tensors))


def model_digest(model: Network) -> str:
    """SHA-256 of all tensors of a model."""
    from aios_core.training.checkpoint import named_tensors

    return tensors_digest(named_tensors(model))


def text_digest(lines: Iterable[str]) -> str:
    """SHA-256 of lines."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
