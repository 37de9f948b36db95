"""A trained network of several modalities with its codecs, read back from the folder of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from aios_core import strict_json
from aios_core.errors import ModelLoadError
from aios_core.joint.learner import built
from aios_core.joint.material import ASKED, FOLDER
from aios_core.joint.rows import maker_of
from aios_core.training import checkpoint

if TYPE_CHECKING:
    from aios_core.config import Resolved
    from aios_core.contracts import Codec
    from aios_core.diffusion.joint import Joint
    from aios_core.joint.rows import Groups
    from aios_core.registry import Registry
    from aios_core.training.checkpoint import State


@frozen(eq=False)
class TrainedJoint:
    """A network of several modalities, and what it was trained with."""

    model: Joint
    """With the averaged weights, in evaluation mode, on the CPU."""
    codecs: Mapping[str, Codec]
    resolved: Resolved
    state: State
    folder: Path
    groups: Groups
    """The segments that rows to train on had."""


def load(folder: Path, *, registry: Registry | None = None) -> TrainedJoint:
    """Read a trained network of several modalities.

    Args:
        folder: of a run, or of one of its checkpoints.
        registry: where its components are looked up; None discovers the installed ones.

    Raises:
        ModelLoadError: there is none, it is damaged, or its codecs are not those that it was
            trained with.
        ConfigError: its configuration names a component that is not installed.
    """
    step, state, resolved = checkpoint.opened(folder, registry=registry)
    if not resolved.config.modalities:
        raise ModelLoadError(f"{folder}: is a run of texts; expected one of several modalities")
    place = step.absolute().parent.parent / FOLDER
    codecs = {
        modality.name: modality.codec.load(place / modality.name)
        for modality in resolved.config.modalities
    }
    groups = _groups(place / ASKED)
    if (maker := maker_of(codecs, groups)) != state.tokenizer:
        raise ModelLoadError(
            f"{place}: holds other codecs than {step} was trained with: their fingerprint is "
            f"{maker[:12]}, expected {state.tokenizer[:12]}"
        )
    model = built(resolved.config, codecs)
    with checkpoint.going_back(None if step == folder else folder):
        checkpoint.read_tensors(step, state, "ema", into=checkpoint.named_tensors(model))
    return TrainedJoint(model.eval(), codecs, resolved, state, step, groups)


def _groups(path: Path) -> Groups:
    try:
        plain = strict_json.loads(path.read_text(encoding="utf-8"))
        return tuple((tuple(map(str, have)), tuple(map(str, given))) for have, given in plain)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise ModelLoadError(f"{path}: cannot be read: {error!s:.200}") from error
