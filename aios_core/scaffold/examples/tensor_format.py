"""A format of tensors: one class and the hook that offers it, by the suffix of such files."""

import json

import torch
from attrs import frozen

import aios_core
from aios_core import contracts
from aios_core.errors import ModelLoadError, ModelSaveError
from aios_core.files import new_file

AIOS_API = 1


@frozen
class Hexadecimal(contracts.TensorFormat):
    """JSON: of each tensor its type, its shape, and its bytes."""

    def open(self, path):
        """The tensors of a file; what they are made of is checked when they are."""
        try:
            tensors = {
                name: _read(*stored) for name, stored in json.loads(path.read_bytes()).items()
            }
        except (OSError, ValueError, TypeError, AttributeError, RuntimeError, RecursionError) as e:
            raise ModelLoadError(f"{path}: is not a file of tensors in JSON: {e}") from e
        return contracts.TensorSource(path, tuple(tensors), tensors.__getitem__, {}, {})

    def save(self, source, path, on_progress):
        """Write all of them."""
        plain = {}
        for name, tensor in source.dense(path, on_progress).items():
            data = tensor.flatten().view(torch.uint8) if tensor.numel() else tensor
            kind = str(tensor.dtype).removeprefix("torch.")
            plain[name] = (kind, list(tensor.shape), bytes(data.tolist()).hex())
        try:
            with new_file(path) as temporary:
                temporary.write_text(json.dumps(plain))
        except OSError as error:
            raise ModelSaveError(f"{path}: cannot be written: {error}") from error
        return path


def _read(kind, shape, data):
    """A tensor; its size follows from the bytes that there are."""
    dtype = getattr(torch, kind)
    if not data:
        return torch.empty(0, dtype=dtype).view(shape)
    return torch.tensor(list(bytes.fromhex(data)), dtype=torch.uint8).view(dtype).view(shape)


@aios_core.hookimpl
def aios_tensor_formats():
    """Suffixes, and the classes for such files."""
    return {"hexadecimal": Hexadecimal}
