"""A whole model in a weight file: its tensors, its configuration and its tokenizer."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
import numpy as np
import torch
from torch import nn

from aios_core.config import resolve
from aios_core.contracts import QuantizedTensor, TensorSource
from aios_core.diffusion.model import Model
from aios_core.errors import ModelLoadError, TokenizerError
from aios_core.formats import weight_format
from aios_core.quantization.linear import QuantizedLinear, Size, named_weights
from aios_core.signatures import READ, kind
from aios_core.training.checkpoint import Checkpoint
from aios_core.training.state import state_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aios_core.contracts import TrainedTokenizer
    from aios_core.registry import Registry

TOKENIZER: Final = "tokenizer"
"""Part of a weight file that holds the tokenizer's files, as bytes."""


def is_package(path: Path) -> bool:
    """Whether a path is that of a weight file, and not of a folder."""
    return path.is_file() or path.with_name(f"{path.name}.index.json").is_file()


def export(
    trained: Checkpoint, path: Path, on_progress: Callable[[str], None] = lambda _: None
) -> Size:
    """Write a model into a weight file; whoever has the file needs nothing else to use it.

    Args:
        trained: a trained model, quantized or not.
        path: of the file.
        on_progress: called with the name of each tensor that is written.

    Returns:
        What the weights take.

    Raises:
        ModelSaveError: it cannot be written.
    """
    state = attrs.asdict(attrs.evolve(trained.state, files={}))
    size = Size.of(trained.model)
    card = {"model": state, "bits_per_weight": round(size.bits_per_weight, 3)}
    tensors = dict(named_weights(trained.model))
    parts = {TOKENIZER: _tokenizer_files(trained.tokenizer)}
    source = TensorSource(path, tuple(tensors), tensors.__getitem__, card, parts)
    weight_format(trained.resolved.registry).save(source, path, on_progress)
    return size


def _tokenizer_files(tokenizer: TrainedTokenizer) -> dict[str, torch.Tensor]:
    """The bytes of the files of a tokenizer, by name."""
    with tempfile.TemporaryDirectory() as temporary:
        tokenizer.save(Path(temporary))
        return {
            part.name: torch.from_numpy(np.frombuffer(bytearray(part.read_bytes()), np.uint8))
            for part in sorted(Path(temporary).iterdir())
        }


_EXPECTED: Final = (
    "expected the folder of the run, or the weight file that `aios quantize RUN` makes of it"
)


def load(path: Path, *, registry: Registry | None = None) -> Checkpoint:
    """Read a model from a weight file; its weights are views of the file.

    Args:
        path: of the file, or the name of its shards.
        registry: where components are looked up; None discovers the installed ones.

    Raises:
        ModelLoadError: the file is damaged, holds no whole model, or its parts do not fit.
        ConfigError: its configuration names a component that is not installed.
    """
    _check_kind(path)
    source = weight_format(registry).open(path)
    if "model" not in source.card:
        raise ModelLoadError(f"{path}: its card describes no model; {_EXPECTED}")
    try:
        state = state_of(source.card["model"], path)
    except (TypeError, ValueError, KeyError) as error:
        raise ModelLoadError(
            f"{path}: its card describes no model: {error!r:.200}; {_EXPECTED}"
        ) from error
    resolved = resolve(state.values, registry=registry)
    tokenizer = _tokenizer(source.parts.get(TOKENIZER, {}), path, resolved.config.tokenizer.load)
    if tokenizer.fingerprint != state.tokenizer:
        raise ModelLoadError(f"{path}: its tokenizer is not the one that it was trained with")
    model = Model.build(resolved.config, tokenizer.vocabulary)
    _fill(model, source, path)
    return Checkpoint(model.eval(), tokenizer, resolved, state, path)


def _check_kind(path: Path) -> None:
    """Say of tensors alone that no conversion makes a model of them.

    Raises:
        ModelLoadError: the file is of a kind that holds no configuration and no tokenizer.
    """
    try:
        with path.open("rb") as file:
            sort = kind(file.read(16))
    except OSError:
        return  # it may be the name of shards; the loader reports it
    if sort in READ:
        raise ModelLoadError(
            f"{path}: is a {sort} file, which has tensors and no configuration; {_EXPECTED}"
        )


def _tokenizer(
    files: Mapping[str, torch.Tensor | QuantizedTensor],
    path: Path,
    read: Callable[[Path], TrainedTokenizer],
) -> TrainedTokenizer:
    with tempfile.TemporaryDirectory() as temporary:
        for name in files:
            data = files[name]
            if Path(name).name != name or not isinstance(data, torch.Tensor):
                raise ModelLoadError(f"{path}: {name!r:.80} is not a file of a tokenizer")
            Path(temporary, name).write_bytes(data.view(torch.uint8).numpy().tobytes())
        try:
            return read(Path(temporary))
        except TokenizerError as error:
            raise ModelLoadError(f"{path}: its tokenizer: {error}") from error


def _fill(model: Model, source: TensorSource, path: Path) -> None:
    """Put the tensors of a file in the place of those of a model, all of them and no others."""
    expected = dict(named_weights(model))
    for name in (*expected, *source.names):
        if name not in source.names:
            raise ModelLoadError(f"{path}: lacks the tensor {name!r} of this model")
        if name not in expected:
            raise ModelLoadError(f"{path}: holds {name!r:.200}, which this model has not")
    for name, before in expected.items():
        tensor, (place, _, own) = source.get(name), name.rpartition(".")
        if tuple(tensor.shape) != tuple(before.shape):
            raise ModelLoadError(
                f"{path}: {name!r} has shape {tuple(tensor.shape)}; expected {tuple(before.shape)}"
            )
        module = model.get_submodule(place)
        if isinstance(tensor, QuantizedTensor):
            if type(module) is not nn.Linear or own != "weight":
                raise ModelLoadError(f"{path}: {name!r} is quantized, and is not of a linear layer")
            model.set_submodule(place, QuantizedLinear(tensor, module.bias))
            continue
        if tensor.dtype != before.dtype:
            raise ModelLoadError(f"{path}: {name!r} is {tensor.dtype}; expected {before.dtype}")
        parameter = getattr(module, own)
        parameter.data = tensor
