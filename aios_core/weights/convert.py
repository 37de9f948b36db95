"""To and from other files of tensors, bit for bit.

Nothing is unpickled but tensors: torch's files are read by its loader of weights alone.
"""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from attrs import field, frozen
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from aios_core.contracts import QuantizedTensor
from aios_core.errors import ModelLoadError, ModelSaveError
from aios_core.files import new_file
from aios_core.weights.kinds import READ, kind
from aios_core.weights.loader import WeightLoader
from aios_core.weights.writer import WeightWriter

if TYPE_CHECKING:
    from os import PathLike

SAFETENSORS: Final = ".safetensors"
TORCH: Final = (".pt", ".pth", ".bin")
"""Suffixes by which a file's kind is known; of all others the first bytes say it."""


@frozen
class TensorSource:
    """A file of tensors, of any kind that is known here."""

    path: Path
    names: tuple[str, ...]
    get: Callable[[str], Tensor | QuantizedTensor]
    card: Mapping[str, Any]
    parts: Mapping[str, WeightLoader]
    """What else belongs to the model, by part; only our own files have such."""
    tied: Mapping[str, str] = field(factory=dict)
    """Names whose tensor is that of another name, which is not among them."""


def open_source(path: str | PathLike[str]) -> TensorSource:
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
    first = _kind(found)
    if first in READ:
        return _safetensors(found) if first == "safetensors" else _torch(found)
    loader = WeightLoader.open(found)
    parts = {part for file in loader.files for part, _ in file.entries}
    others = {part: loader.part(part) for part in sorted(parts - {"weights"})}
    return TensorSource(found, tuple(loader), loader.__getitem__, loader.card, others, loader.tied)


def save(
    source: TensorSource,
    path: str | PathLike[str],
    on_progress: Callable[[str], None] = lambda _: None,
) -> Path:
    """Write all tensors into a file of the kind that its suffix says.

    Args:
        source: what to write.
        path: where; ``.safetensors``, ``.pt``, ``.pth``, ``.bin``, or a weight file of ours.
        on_progress: called with the name of each tensor that is done.

    Returns:
        The file that opens it: `path`, or the index of shards where it is too large for one.

    Raises:
        ModelLoadError: a tensor of the source is damaged.
        ModelSaveError: a tensor is quantized and the file is not ours, or it cannot be written.
    """
    target = Path(path)
    if target.suffix != SAFETENSORS and target.suffix not in TORCH:
        return _ours(source, target, on_progress)
    tensors: dict[str, Tensor] = {}
    for name in source.names:
        tensor = source.get(name)
        if isinstance(tensor, QuantizedTensor):
            raise ModelSaveError(
                f"{target}: {name!r} is quantized, and {target.suffix} has no such thing; expected "
                "a weight file, or `dequantize`"
            )
        tensors[name] = tensor.contiguous()
        on_progress(name)
    tensors |= {name: tensors[other] for name, other in source.tied.items()}
    try:
        with new_file(target) as temporary:
            if target.suffix == SAFETENSORS:
                separate = {name: tensor.clone() for name, tensor in tensors.items()}
                save_file(separate, temporary, _words(source.card))
            else:
                torch.save(tensors, temporary)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ModelSaveError(f"{target}: cannot be written: {error}") from error
    return target


def _ours(source: TensorSource, target: Path, on_progress: Callable[[str], None]) -> Path:
    """Write a weight file; the file that opens it."""
    with WeightWriter(target, source.card) as file:
        for name in source.names:
            if name not in source.tied:
                file.add(name, source.get(name))
                on_progress(name)
        for name, other in source.tied.items():
            file.tie(name, other)
            on_progress(name)
        for part, loader in source.parts.items():
            for name in loader:
                file.add(name, loader[name], part)
    return file.written


def _kind(path: Path) -> str | None:
    """What a file is by its first bytes; None where there are none to read."""
    try:
        with path.open("rb") as file:
            return kind(file.read(16))
    except OSError:
        return None


def _safetensors(path: Path) -> TensorSource:
    try:
        file: Any = safe_open(path, framework="pt")
        card = dict(file.metadata() or {})
        return TensorSource(path, tuple(file.keys()), file.get_tensor, card, {})
    except (OSError, SafetensorError) as error:
        raise ModelLoadError(f"{path}: is not a safetensors file: {error}") from error


def _sharded(path: Path) -> TensorSource:
    """The index that Hugging Face's libraries write beside shards."""
    try:
        where = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        files = [name for name in dict.fromkeys(where.values()) if Path(name).name == name]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelLoadError(f"{path}: is not an index of shards: {error!r:.200}") from error
    shards = {name: _safetensors(path.with_name(name)) for name in files}
    held = {name: set(shard.names) for name, shard in shards.items()}
    for name, shard in where.items():
        if shard not in held or name not in held[shard]:
            raise ModelLoadError(f"{path}: {name!r} is not in a file {shard!r} beside it")
    for shard, names in held.items():
        if unnamed := sorted(name for name in names if where.get(name) != shard):
            raise ModelLoadError(
                f"{path}: {shard} holds {unnamed[0]!r} ({len(unnamed)} such tensors), which the "
                "index does not say; expected an index that names every tensor of its files"
            )
    card: dict[str, Any] = {}
    for shard in shards.values():
        card |= shard.card
    return TensorSource(path, tuple(where), lambda name: shards[where[name]].get(name), card, {})


def _torch(path: Path) -> TensorSource:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of sparse tensors, which are refused
            found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        # torch says how to unpickle all the same.
        said = "" if isinstance(error, pickle.UnpicklingError) else str(error).strip()
        reason = said.partition("\n")[0] or type(error).__name__
        raise ModelLoadError(
            f"{path}: is not a torch file that holds tensors alone: {reason}"
        ) from error
    if not isinstance(found, Mapping) or not found:
        raise ModelLoadError(f"{path}: holds a {type(found).__name__}; expected tensors by name")
    for name, value in found.items():
        if isinstance(value, Tensor) and (value.layout != torch.strided or value.is_quantized):
            own = value.dtype if value.is_quantized else value.layout
            raise ModelLoadError(
                f"{path}: {name!r:.80} is a tensor of {own}; expected dense tensors: save "
                f"{'.dequantize()' if value.is_quantized else '.to_dense()'} of it"
            )
        if not isinstance(name, str) or not isinstance(value, Tensor):
            inside = next((key for key, one in found.items() if isinstance(one, Mapping)), None)
            hint = f"; {inside!r} may be the state dict: save that alone" if inside else ""
            raise ModelLoadError(
                f"{path}: {name!r:.80} is a {type(value).__name__}; expected tensors by name{hint}"
            )
    return TensorSource(path, tuple(found), found.__getitem__, {}, {}, _tied(found))


def _tied(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Names after the first of tensors that are one: of the same memory, seen in the same way."""
    first: dict[tuple[Any, ...], str] = {}
    tied = {}
    for name, one in tensors.items():
        key = (one.data_ptr(), one.dtype, one.shape, one.stride())
        if one.numel() and first.setdefault(key, name) != name:
            tied[name] = first[key]
    return tied


def _words(card: Mapping[str, Any]) -> dict[str, str]:
    """A card as safetensors holds one: texts by name."""
    return {
        key: value if isinstance(value, str) else json.dumps(value, default=str)
        for key, value in card.items()
    }
