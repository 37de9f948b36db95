"""What a training begins with besides random numbers: the weights of another run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from attrs import frozen

from aios_core.contracts import QuantizedTensor
from aios_core.errors import ModelLoadError, TrainingError
from aios_core.files import fault
from aios_core.formats import open_tensors
from aios_core.quantization.operator import reader
from aios_core.training import checkpoint
from aios_core.training.digest import tensor_digest, text_digest

if TYPE_CHECKING:
    import logging

    from torch import Tensor, nn

    from aios_core.config import Resolved
    from aios_core.contracts import TensorSource, TrainedTokenizer

_NAMED = 8
"""Parts of a network that a message names of each sort."""


@frozen(slots=False)
class Initial:
    """Weights that a training begins with."""

    place: Path
    """As `training.init_from` names it."""
    source: TensorSource
    values: dict[str, Any]
    """The configuration that they were trained with; empty where the file does not say."""
    tokenizer: str
    """Fingerprint of their tokenizer; empty likewise."""

    @cached_property
    def digest(self) -> str:
        """Hex digest of the weights and their tokenizer, whatever file holds them."""
        lines = (f"{name} {tensor_digest(self._tensor(name))}" for name in sorted(self._names))
        return text_digest([self.tokenizer, *lines])

    def check(self, resolved: Resolved, tokenizer: TrainedTokenizer) -> None:
        """Hold the tokens that the weights are of against those of a run that begins with them.

        Raises:
            TrainingError: they are other tokens.
        """
        if self.tokenizer not in {"", tokenizer.fingerprint}:
            there = _tokenizer(self.values, self.tokenizer)
            here = _tokenizer(resolved.values, tokenizer.fingerprint)
            raise TrainingError(
                f"{self}: its tokenizer is {there}, and that of this run is {here}; expected the "
                "same, for a network knows its tokens by their numbers (a trained one is kept in "
                "the folder tokenizer of its run)"
            )

    def fill(self, model: nn.Module, log: logging.Logger) -> None:
        """Give a network the weights that fit it, by name and shape, and say which do not.

        Args:
            model: as it was made; what does not fit stays as it is.
            log: of what fits.

        Raises:
            TrainingError: no matrix fits.
            ModelLoadError: the file is damaged.
        """
        own = checkpoint.named_tensors(model)
        shapes, taken = {}, set()
        with torch.no_grad():
            for name in sorted(own.keys() & self._names):
                tensor = self._tensor(name)
                shapes[name] = tuple(tensor.shape)
                same = tensor.is_floating_point() == own[name].is_floating_point()
                if same and tensor.shape == own[name].shape:
                    own[name].copy_(tensor)
                    taken.add(name)
        other = sorted(own.keys() & self._names - taken)
        words = [
            f"{name} is {shapes[name]} there and {tuple(own[name].shape)} here" for name in other
        ]
        left = _listed("of another shape, and begins anew", words)
        left += _listed("not there, and begins anew", _parts(own.keys() - self._names, own))
        left += _listed(
            "there alone, and is left out", _parts(self._names - own.keys(), self._names)
        )
        if not any(own[name].ndim > 1 for name in taken):
            raise TrainingError(f"{self}: none of its matrices fits this network{left}")
        say = log.warning if left else log.info
        say("%s: begins with %d of its network's %d tensors%s", self, len(taken), len(own), left)

    @property
    def _names(self) -> frozenset[str]:
        return frozenset(self.source.names) | frozenset(self.source.tied)

    def _tensor(self, name: str) -> Tensor:
        tensor = self.source.get(self.source.tied.get(name, name))
        if isinstance(tensor, QuantizedTensor):
            return reader(tensor.method).dequantize(tensor)
        return tensor

    def __str__(self) -> str:
        return f"training.init_from: {self.place}"


def opened(resolved: Resolved) -> Initial | None:
    """What a training begins with; None: random weights.

    The weights of a run are the averaged ones of the checkpoint that it stands for, as they were
    trained: without what `aios evolve` has kept since.

    Args:
        resolved: the configuration of the training.

    Raises:
        TrainingError: there are no such weights.
        ModelLoadError: they are damaged.
    """
    place = resolved.config.training.init_from
    if place is None:
        return None
    if not place.is_dir():
        try:
            source = open_tensors(place, resolved.registry)
        except ModelLoadError as error:
            raise ModelLoadError(f"training.init_from: {error}") from error
        card = source.card.get("model")  # of a weight file that `aios quantize` wrote
        about = card if isinstance(card, dict) else {}
        return Initial(place, source, about.get("values", {}), str(about.get("tokenizer", "")))
    step = place if (place / "state.json").exists() else checkpoint.chosen(place)
    if step is None:
        raise TrainingError(
            f"training.init_from: {place}: holds no checkpoint; expected the folder of a run, of "
            "one of its checkpoints, or a file of weights"
        )
    state, path = checkpoint.read_state(step), step / "ema.safetensors"
    if reason := fault(path, state.files.get(path.name, {})):
        raise ModelLoadError(f"training.init_from: {path}: {reason}")
    return Initial(place, open_tensors(path, resolved.registry), state.values, state.tokenizer)


def data_of(data: str, begins: Initial | None) -> str:
    """The fingerprint of the data, with that of what a training begins with, for keys."""
    return data if begins is None else text_digest([data, begins.digest])


def check_apart(resolved: Resolved, folder: Path) -> None:
    """Refuse to throw away what a run is to begin with.

    Args:
        resolved: its configuration.
        folder: that is emptied for it.

    Raises:
        TrainingError: the weights are in there.
    """
    place = resolved.config.training.init_from
    if place is not None and place.resolve().is_relative_to(folder.resolve()):
        raise TrainingError(
            f"training.init_from: {place}: is in {folder}, which `fresh` would empty; expected "
            "another `output`"
        )


def _tokenizer(values: dict[str, Any], fingerprint: str) -> str:
    """A tokenizer in a few words."""
    settings = dict(values.get("tokenizer", {}))
    name = settings.pop("type", "another")
    said = ", ".join(f"{key} = {value!r}" for key, value in settings.items())
    return f"{name} ({said}{', ' if said else ''}fingerprint {fingerprint[:12]})"


def _parts(names: Collection[str], of: Collection[str]) -> list[str]:
    """Names of tensors in few words: a module whose tensors are all among them by its own name."""
    all_in, some_in = (Counter(part for name in s for part in _prefixes(name)) for s in (of, names))
    parts = Counter(
        next(part for part in _prefixes(name) if some_in[part] == all_in[part])
        for name in sorted(names)
    )
    return [part if part in of else f"{part} ({count} tensors)" for part, count in parts.items()]


def _prefixes(name: str) -> list[str]:
    words = name.split(".")
    return [".".join(words[:count]) for count in range(1, len(words) + 1)]


def _listed(what: str, parts: list[str]) -> str:
    """Parts of a network behind a semicolon; nothing where there is none."""
    more = f" and {len(parts) - _NAMED} more" if len(parts) > _NAMED else ""
    return f"; {what}: {', '.join(parts[:_NAMED])}{more}" if parts else ""
