"""Checkpoints: safetensors and one JSON file, written whole or not at all, verified when read.

A run's folder holds ``checkpoints/step-000500/`` and ``checkpoints/latest``, a file with the name
of the newest. A checkpoint holds ``weights``, ``ema`` and ``optimizer`` ``.safetensors`` and
``state.json``, which says to which step, configuration, tokenizer and data they belong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs
import torch
from attrs import frozen
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from aios_core.config import resolve
from aios_core.config.lock import LOCK, lock_fault
from aios_core.diffusion.model import Model
from aios_core.diffusion.soundness import check_learned
from aios_core.errors import ModelLoadError, TokenizerError, TrainingError
from aios_core.files import fault, manifest, new_folder, remove_folder, replace_text
from aios_core.training.state import FORMAT, State, read_state, write_state

if TYPE_CHECKING:
    from torch import Tensor, nn

    from aios_core.config import Resolved
    from aios_core.contracts import EvolutionLevel, Network, TrainedTokenizer
    from aios_core.registry import Registry

__all__ = [
    "FORMAT",
    "PARTS",
    "Checkpoint",
    "Part",
    "State",
    "checkpoints",
    "chosen",
    "faults",
    "folder_of",
    "going_back",
    "latest",
    "load",
    "named_tensors",
    "read_state",
    "read_tensors",
    "save",
    "write_state",
]

KEPT: Final = 2
"""Checkpoints kept besides the best: the newest, and the one before in case that is damaged."""

Part = Literal["weights", "ema", "optimizer"]
PARTS: Final[tuple[Part, ...]] = ("weights", "ema", "optimizer")


def named_tensors(module: nn.Module | Network) -> dict[str, Tensor]:
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
    folder = folder_of(run, state.step)
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


def _prune(newest: Path, state: State) -> None:
    """Remove checkpoints but the newest ones and the best, and what killed processes left."""
    steps = checkpoints(newest.parents[1])
    best = _best(newest.parents[1], state)
    old = [path for path in steps[:-KEPT] if path != best]
    left_behind = newest.parent.glob(".*")
    for path in [*old, *(path for path in left_behind if path.is_dir())]:
        remove_folder(path)


def folder_of(run: Path, step: int) -> Path:
    """Where a run keeps the checkpoint of a step, if it does."""
    return run / "checkpoints" / f"step-{step:06d}"


def _best(run: Path, state: State) -> Path | None:
    """The checkpoint with the lowest held-out loss, of a run that keeps it."""
    keep = state.values.get("training", {}).get("keep")
    return None if keep != "best" or state.best_step is None else folder_of(run, state.best_step)


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
        raise ModelLoadError(f"{pointer}: expected the name of a checkpoint, got {name[:40]!r}")
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
        _copy(path, into)
    except SafetensorError as error:
        raise ModelLoadError(f"{path}: is not a safetensors file: {error}") from error
    except OSError as error:
        raise ModelLoadError(f"{path}: cannot be read: {error}") from error


def _copy(path: Path, into: Mapping[str, Tensor]) -> None:
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
                    f"{path}: {name!r} has shape {shape}; expected {tuple(tensor.shape)}"
                )
        for name, tensor in into.items():
            stored = file.get_tensor(name)
            if stored.dtype != tensor.dtype:
                raise ModelLoadError(f"{path}: {name!r} is {stored.dtype}; expected {tensor.dtype}")
            tensor.copy_(stored)


def faults(folder: Path) -> list[str]:
    """What is wrong with the files of a checkpoint, each as it was written; nothing is loaded."""
    try:
        state = read_state(folder)
    except ModelLoadError as error:
        return [str(error)]
    listed: dict[str, dict[str, Any]] = {f"{part}.safetensors": {} for part in PARTS} | state.files
    wrong = [(folder / name, fault(folder / name, entry)) for name, entry in listed.items()]
    return [f"{path}: {reason}" for path, reason in wrong if reason]


def checkpoints(run: Path) -> list[Path]:
    """Every checkpoint of a run, the oldest first."""
    folder = run / "checkpoints"
    entries = folder.iterdir() if folder.is_dir() else ()
    names = (path for path in entries if _NAME.fullmatch(path.name))
    return sorted(names, key=lambda path: int(path.name.removeprefix("step-")))


@contextmanager
def going_back(run: Path | None) -> Iterator[None]:
    """Say of a damaged checkpoint of a run which one beside it is sound."""
    try:
        yield
    except ModelLoadError as error:
        sound = [path for path in checkpoints(run) if not faults(path)] if run else []
        if not sound:
            raise
        raise ModelLoadError(
            f"{error}; {sound[-1].name} beside it is sound: with that name in "
            f"{sound[-1].with_name('latest')} the run goes back to it"
        ) from error


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

    @property
    def run_folder(self) -> Path:
        """The folder of the run that the checkpoint, or the weight file made of one, lies in."""
        place = self.folder.absolute()
        return place.parent.parent if place.is_dir() else place.parent

    def level(self, name: str) -> EvolutionLevel:
        """The evolution level of a registry name, with its defaults.

        Raises:
            PluginError: there is none, or it cannot be used.
        """
        made: EvolutionLevel = self.resolved.registry.get("level", name).load()()
        return made

    def __attrs_post_init__(self) -> None:
        """Refuse a network that has learned a schedule under which no bound can be measured."""
        config = self.resolved.config
        if self.model.mode == "diffusion":
            check_learned(config.noise, self.model.noise, config.diffusion.time_epsilon)


def load(folder: Path, *, registry: Registry | None = None) -> Checkpoint:
    """Read a trained network.

    Args:
        folder: of a run, whose `chosen` checkpoint is meant, or of one checkpoint.
        registry: where its components are looked up; None discovers the installed ones.

    Raises:
        ModelLoadError: there is none, it is damaged, or its parts do not belong together.
        ConfigError: its configuration names a component that is not installed.
        PluginError: it has learned a schedule under which no bound can be measured.
    """
    step, state, resolved = opened(folder, registry=registry)
    if resolved.config.modalities:
        names = ", ".join(modality.name for modality in resolved.config.modalities)
        raise ModelLoadError(
            f"{folder}: is a network of several modalities ({names}), which this does not serve; "
            "expected a run of texts. `aios sample` and `aios evaluate` serve both"
        )
    place = step.absolute().parent.parent / "tokenizer"
    try:
        tokenizer = resolved.config.tokenizer.load(place)
    except TokenizerError as error:
        raise ModelLoadError(f"{place}: {error}") from error
    if tokenizer.fingerprint != state.tokenizer:
        raise ModelLoadError(
            f"{place}: is not the tokenizer that {step} was trained with: its fingerprint is "
            f"{tokenizer.fingerprint[:12]}, expected {state.tokenizer[:12]}"
        )
    model = Model.build(resolved.config, tokenizer.vocabulary)
    with going_back(None if step == folder else folder):
        read_tensors(step, state, "ema", into=named_tensors(model))
    return Checkpoint(model.eval(), tokenizer, resolved, state, step)


def opened(folder: Path, *, registry: Registry | None = None) -> tuple[Path, State, Resolved]:
    """The checkpoint that a folder stands for, what it says, and its configuration.

    Args:
        folder: as for `load`.
        registry: likewise.

    Raises:
        ModelLoadError: there is none, or it is damaged.
        ConfigError: its configuration names a component that is not installed.
    """
    single = (folder / "state.json").exists()
    run = folder.absolute().parent.parent if single else folder
    lock = run / LOCK
    reason = lock_fault(lock) if lock.exists() else None
    if reason is not None:
        raise ModelLoadError(
            f"{lock}: {reason}; `aios run` with the configuration of this run writes it again"
        )
    back = None if single else run
    with going_back(back):
        step = folder if single else chosen(folder)
        if step is None:
            raise ModelLoadError(f"{folder}: holds no checkpoint; expected the folder of a run")
        state = read_state(step)
    resolved = resolve(state.values, registry=registry)
    return step, state, resolved
