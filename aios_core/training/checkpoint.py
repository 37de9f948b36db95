"""Checkpoints: safetensors and one JSON file, written whole or not at all, verified when read.

A run's folder holds ``checkpoints/step-000500/`` and ``checkpoints/latest``, a file with the name
of the newest. A checkpoint holds ``weights``, ``ema`` and ``optimizer`` ``.safetensors`` and
``state.json``, which says to which step, configuration, tokenizer and data they belong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs
import torch
from attrs import field, frozen, validators
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from aios_core.config import resolve
from aios_core.diffusion.model import Model
from aios_core.errors import ModelLoadError, TokenizerError, TrainingError
from aios_core.files import fault, manifest, new_folder, remove_folder, replace_text

if TYPE_CHECKING:
    from torch import Tensor, nn

    from aios_core.config import Resolved
    from aios_core.contracts import TrainedTokenizer
    from aios_core.registry import Registry

FORMAT: Final = 2
"""Of the checkpoints that this version writes; an older one may be read, a newer one never."""

KEPT: Final = 2
"""Checkpoints kept besides the best: the newest, and the one before in case that is damaged."""

Part = Literal["weights", "ema", "optimizer"]
PARTS: Final[tuple[Part, ...]] = ("weights", "ema", "optimizer")

_text = validators.instance_of(str)


@frozen(kw_only=True)
class State:
    """What ``state.json`` says of a checkpoint."""

    format: int = field(default=FORMAT, validator=validators.instance_of(int))
    step: int = field(validator=[validators.instance_of(int), validators.ge(0)])
    """Optimiser steps done."""
    values: dict[str, Any] = field(validator=validators.instance_of(dict))
    """The resolved configuration as plain data."""
    training_key: str = field(validator=_text)
    """Digest of the settings that affect training."""
    tokenizer: str = field(validator=_text)
    """Fingerprint of the tokenizer."""
    data: str = field(validator=_text)
    """Fingerprint of the tokens trained on."""
    best_step: int | None = field(
        default=None, validator=validators.optional(validators.instance_of(int))
    )
    """Step with the lowest held-out loss so far."""
    best_loss: float | None = field(
        default=None, validator=validators.optional(validators.instance_of(float))
    )
    """That loss, in nats a token."""
    files: dict[str, dict[str, Any]] = field(
        factory=dict,
        validator=validators.deep_mapping(_text, validators.instance_of(dict)),
    )
    """Size and SHA-256 of every other file."""


def named_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters, each once however often it is tied, and the buffers that make up the state."""
    kept = module.state_dict()
    buffers = {name: buffer for name, buffer in module.named_buffers() if name in kept}
    return {name: p.detach() for name, p in module.named_parameters()} | buffers


def save(run: Path, state: State, parts: Mapping[Part, Mapping[str, Tensor]]) -> Path:
    """Write a checkpoint, point ``latest`` at it, and remove old ones.

    Args:
        run: the run's folder.
        state: without ``files``.
        parts: named tensors, on any device; none may share memory with another.

    Returns:
        The checkpoint's folder.

    Raises:
        TrainingError: it cannot be written; what was there before is untouched.
    """
    folder = _folder(run, state.step)
    try:
        if folder.exists():  # complete, but never became the latest: the process was killed
            remove_folder(folder)
        with new_folder(folder) as temporary:
            for part, tensors in parts.items():
                contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
                save_file(contiguous, temporary / f"{part}.safetensors")
            write_state(temporary, attrs.evolve(state, files=manifest(temporary)))
        replace_text(folder.parent / "latest", folder.name)
        _prune(folder, state)
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"{folder}: the checkpoint cannot be written: {error}; the one before is kept"
        ) from error
    return folder


def write_state(folder: Path, state: State) -> None:
    """Say of a checkpoint what it is."""
    replace_text(folder / "state.json", json.dumps(attrs.asdict(state), indent=1))


def _prune(newest: Path, state: State) -> None:
    """Remove checkpoints but the newest ones and the best, and what killed processes left."""
    steps = sorted(
        (path for path in newest.parent.iterdir() if _NAME.fullmatch(path.name)),
        key=lambda path: int(path.name.removeprefix("step-")),
    )
    best = _best(newest.parents[1], state)
    old = [path for path in steps[:-KEPT] if path != best]
    left_behind = newest.parent.glob(".*")
    for path in [*old, *(path for path in left_behind if path.is_dir())]:
        remove_folder(path)


def _folder(run: Path, step: int) -> Path:
    return run / "checkpoints" / f"step-{step:06d}"


def _best(run: Path, state: State) -> Path | None:
    """The checkpoint with the lowest held-out loss, of a run that keeps it."""
    keep = state.values.get("training", {}).get("keep")
    return None if keep != "best" or state.best_step is None else _folder(run, state.best_step)


_NAME = re.compile(r"step-[0-9]{6,}")


def latest(run: Path) -> Path | None:
    """The newest checkpoint of a run; None where there is none, as in or beside a single file.

    Raises:
        ModelLoadError: ``latest`` names something else than a checkpoint.
    """
    pointer = run / "checkpoints" / "latest"
    if not run.is_dir():
        return None
    try:
        name = pointer.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ModelLoadError(f"{pointer}: cannot be read: {error}") from error
    if not _NAME.fullmatch(name):
        raise ModelLoadError(f"{pointer}: want the name of a checkpoint, got {name[:40]!r}")
    return pointer.with_name(name)


def chosen(run: Path) -> Path | None:
    """The checkpoint that a run stands for: the newest, or the best if it keeps that one.

    Raises:
        ModelLoadError: the newest checkpoint is damaged.
    """
    newest = latest(run)
    if newest is None:
        return None
    return _best(run, read_state(newest)) or newest


def read_state(folder: Path) -> State:
    """What a checkpoint says of itself.

    Raises:
        ModelLoadError: there is no checkpoint, it is damaged, or of a newer format.
    """
    path = folder / "state.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        version = data["format"]
        if isinstance(version, int) and version > FORMAT:
            raise ModelLoadError(
                f"{path}: written in format {version} by a newer version of ai-os-diffusion; "
                f"this one reads up to {FORMAT}"
            )
        return State(**data)
    except FileNotFoundError:
        raise ModelLoadError(f"{path}: is missing; want the folder of a checkpoint") from None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelLoadError(f"{path}: is truncated or changed: {error!r:.200}") from error


def read_tensors(folder: Path, state: State, part: Part, into: Mapping[str, Tensor]) -> None:
    """Copy the tensors of one part into existing ones.

    Everything is checked before anything is read into memory: size and SHA-256 of the file, then
    that names, shapes and types are exactly those of ``into`` (T25).

    Raises:
        ModelLoadError: naming the file, and the tensor where it is one's fault.
    """
    path = folder / f"{part}.safetensors"
    if path.name not in state.files:
        raise ModelLoadError(f"{folder / 'state.json'}: does not list {path.name}")
    if reason := fault(path, state.files[path.name]):
        raise ModelLoadError(f"{path}: {reason}")
    try:
        with torch.no_grad(), safe_open(path, framework="pt") as file:
            names = set(file.keys())
            if missing := sorted(into.keys() - names):
                raise ModelLoadError(f"{path}: lacks the tensor {missing[0]!r} of this model")
            if extra := sorted(names - into.keys()):
                raise ModelLoadError(f"{path}: holds {extra[0]!r}, which this model has not")
            for name, tensor in into.items():
                shape = tuple(file.get_slice(name).get_shape())
                if shape != tuple(tensor.shape):
                    raise ModelLoadError(
                        f"{path}: {name!r} has shape {shape}; this model wants "
                        f"{tuple(tensor.shape)}"
                    )
            for name, tensor in into.items():
                found = file.get_tensor(name)
                if found.dtype != tensor.dtype:
                    raise ModelLoadError(
                        f"{path}: {name!r} is {found.dtype}; this model wants {tensor.dtype}"
                    )
                tensor.copy_(found)
    except SafetensorError as error:
        raise ModelLoadError(f"{path}: is no safetensors file: {error}") from error


@frozen(eq=False)
class Checkpoint:
    """A trained network with all that belongs to it."""

    model: Model
    """With the averaged weights, in evaluation mode, on the CPU."""
    tokenizer: TrainedTokenizer
    resolved: Resolved
    """The configuration that it was trained with."""
    state: State
    folder: Path
    """Where it was read from."""


def load(folder: Path, *, registry: Registry | None = None) -> Checkpoint:
    """Read a trained network.

    Args:
        folder: of a run, whose `chosen` checkpoint is meant, or of one checkpoint.
        registry: where its components are looked up; None discovers the installed ones.

    Raises:
        ModelLoadError: there is none, it is damaged, or its parts do not belong together.
        ConfigError: its configuration names a component that is not installed.
    """
    found = folder if (folder / "state.json").exists() else chosen(folder)
    if found is None:
        raise ModelLoadError(f"{folder}: holds no checkpoint; want the folder of a run")
    state = read_state(found)
    resolved = resolve(state.values, registry=registry)
    place = found.absolute().parent.parent / "tokenizer"
    try:
        tokenizer = resolved.config.tokenizer.load(place)
    except TokenizerError as error:
        raise ModelLoadError(f"{place}: {error}") from error
    if tokenizer.fingerprint != state.tokenizer:
        raise ModelLoadError(
            f"{place}: is not the tokenizer that {found} was trained with: its fingerprint is "
            f"{tokenizer.fingerprint[:12]}, want {state.tokenizer[:12]}"
        )
    model = Model.build(resolved.config, tokenizer.vocabulary)
    read_tensors(found, state, "ema", into=named_tensors(model))
    return Checkpoint(model.eval(), tokenizer, resolved, state, found)
