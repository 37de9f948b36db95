"""To and from other files of tensors, bit for bit.

Nothing is unpickled but tensors: torch's files are read by its loader of weights alone.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from attrs import frozen
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from aios_core.contracts import QuantizedTensor
from aios_core.errors import ModelLoadError, ModelSaveError
from aios_core.files import new_file
from aios_core.weights.loader import WeightLoader
from aios_core.weights.writer import WeightWriter

if TYPE_CHECKING:
    from os import PathLike

SAFETENSORS: Final = ".safetensors"
TORCH: Final = (".pt", ".pth", ".bin")
"""Suffixes by which a file's kind is known; everything else is a weight file of ours."""


@frozen
class Source:
    """A file of tensors, of any kind that is known here."""

    path: Path
    names: tuple[str, ...]
    get: Callable[[str], Tensor | QuantizedTensor]
    card: Mapping[str, Any]
    parts: Mapping[str, WeightLoader]
    """What else belongs to the model, by part; only our own files have such."""


def open_source(path: str | PathLike[str]) -> Source:
    """Open a weight file, a safetensors file, an index of several, or torch's file of a state dict.

    Raises:
        ModelLoadError: it is missing, damaged, or holds something else than tensors by name.
    """
    found = Path(path)
    if found.name.endswith(f"{SAFETENSORS}.index.json"):
        return _sharded(found)
    if found.suffix == SAFETENSORS:
        return _safetensors(found)
    if found.suffix in TORCH:
        return _torch(found)
    loader = WeightLoader.open(found)
    parts = {part for file in loader.files for part, _ in file.entries}
    others = {part: loader.part(part) for part in sorted(parts - {"weights"})}
    return Source(found, tuple(loader), loader.__getitem__, loader.card, others)


def save(
    source: Source, path: str | PathLike[str], told: Callable[[str], None] = lambda _: None
) -> None:
    """Write all tensors into a file of the kind that its suffix says.

    Args:
        source: what to write.
        path: where; ``.safetensors``, ``.pt``, ``.pth``, ``.bin``, or a weight file of ours.
        told: called with the name of each tensor that is done.

    Raises:
        ModelLoadError: a tensor of the source is damaged.
        ModelSaveError: a tensor is quantized and the file is not ours, or it cannot be written.
    """
    target = Path(path)
    if target.suffix != SAFETENSORS and target.suffix not in TORCH:
        with WeightWriter(target, source.card) as file:
            for name in source.names:
                file.add(name, source.get(name))
                told(name)
            for part, loader in source.parts.items():
                for name in loader:
                    file.add(name, loader[name], part)
        return
    tensors: dict[str, Tensor] = {}
    for name in source.names:
        tensor = source.get(name)
        if isinstance(tensor, QuantizedTensor):
            raise ModelSaveError(
                f"{target}: {name!r} is quantized, and {target.suffix} has no such thing; want a "
                "weight file, or `dequantize`"
            )
        tensors[name] = tensor.contiguous()
        told(name)
    try:
        with new_file(target) as temporary:
            if target.suffix == SAFETENSORS:
                separate = {name: tensor.clone() for name, tensor in tensors.items()}
                save_file(separate, temporary, _words(source.card))
            else:
                torch.save(tensors, temporary)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ModelSaveError(f"{target}: cannot be written: {error}") from error


def _safetensors(path: Path) -> Source:
    try:
        file: Any = safe_open(path, framework="pt")
        card = dict(file.metadata() or {})
        return Source(path, tuple(file.keys()), file.get_tensor, card, {})
    except (OSError, SafetensorError) as error:
        raise ModelLoadError(f"{path}: is no safetensors file: {error}") from error


def _sharded(path: Path) -> Source:
    """The index that Hugging Face's libraries write beside shards."""
    try:
        where = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        files = [name for name in dict.fromkeys(where.values()) if Path(name).name == name]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelLoadError(f"{path}: is no index of shards: {error!r:.200}") from error
    shards = {name: _safetensors(path.with_name(name)) for name in files}
    for name, shard in where.items():
        if shard not in shards or name not in shards[shard].names:
            raise ModelLoadError(f"{path}: {name!r} is not in a file {shard!r} beside it")
    card: dict[str, Any] = {}
    for shard in shards.values():
        card |= shard.card
    return Source(path, tuple(where), lambda name: shards[where[name]].get(name), card, {})


def _torch(path: Path) -> Source:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ModelLoadError(f"{path}: is no torch file of tensors alone: {reason}") from error
    if not isinstance(found, Mapping) or not found:
        raise ModelLoadError(f"{path}: holds a {type(found).__name__}; want tensors by name")
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            inside = next((key for key, one in found.items() if isinstance(one, Mapping)), None)
            hint = f"; {inside!r} may be the state dict: save that alone" if inside else ""
            raise ModelLoadError(
                f"{path}: {name!r:.80} is a {type(value).__name__}; want tensors by name{hint}"
            )
    return Source(path, tuple(found), found.__getitem__, {}, {})


def _words(card: Mapping[str, Any]) -> dict[str, str]:
    """A card as safetensors holds one: texts by name."""
    return {
        key: value if isinstance(value, str) else json.dumps(value, default=str)
        for key, value in card.items()
    }


def differences(
    a: Source, b: Source, told: Callable[[str], None] = lambda _: None
) -> Iterator[tuple[str, str]]:
    """Names of tensors that two files do not share bit for bit, each with the difference.

    Args:
        a: the first.
        b: the second.
        told: called with each name that was compared.

    Yields:
        In the order of the names.
    """
    for name in sorted({*a.names, *b.names}):
        if name not in b.names:
            yield name, "only in the first"
        elif name not in a.names:
            yield name, "only in the second"
        elif difference := _difference(a.get(name), b.get(name)):
            yield name, difference
        told(name)


def _difference(a: Tensor | QuantizedTensor, b: Tensor | QuantizedTensor) -> str | None:
    if isinstance(a, QuantizedTensor) or isinstance(b, QuantizedTensor):
        return _packing_difference(a, b)
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        return f"{_describe(a)}, and {_describe(b)}"
    if torch.equal(_bits(a), _bits(b)):
        return None
    count = int((_bits(a) != _bits(b)).reshape(-1, a.element_size()).any(-1).sum())
    largest = (a.double() - b.double()).abs().max()
    return f"{count} of {a.numel()} values differ, by at most {float(largest):.3g}"


def _packing_difference(a: Any, b: Any) -> str | None:
    if not (isinstance(a, QuantizedTensor) and isinstance(b, QuantizedTensor)):
        return f"{_describe(a)}, and {_describe(b)}"
    words = ("shape", "dtype", "bits", "group_size", "scheme", "method", "layout", "param_fmt")
    for word in words:
        if getattr(a, word) != getattr(b, word):
            return f"{word} {getattr(a, word)}, and {getattr(b, word)}"
    for word in ("codes", "params"):
        if not torch.equal(getattr(a, word), getattr(b, word)):
            return f"the {word} differ"
    return None


def _describe(tensor: Tensor | QuantizedTensor) -> str:
    shape = "x".join(map(str, tensor.shape)) or "scalar"
    if isinstance(tensor, QuantizedTensor):
        return f"{tensor.method} in {tensor.bits} bits {shape}"
    return f"{str(tensor.dtype).removeprefix('torch.')} {shape}"


def _bits(tensor: Tensor) -> Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)
