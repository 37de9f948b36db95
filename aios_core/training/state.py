"""What ``state.json`` says of a checkpoint: sealed by its own digest, verified when read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs
from attrs import field, frozen, validators

from aios_core.config.keys import canonical
from aios_core.errors import ModelLoadError
from aios_core.files import replace_text

FORMAT: Final = 4
"""Of the checkpoints that this version writes; an older one may be read, a newer one never."""

_SEALED: Final = 3
"""The first format whose files hold a digest of themselves."""
_IN_ROWS: Final = 4
"""The first format whose networks may have learned from whole rows."""

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
    """Fingerprint of the tokens trained on, and of the memories that conditioned the network."""
    texts: str = field(default="", validator=_text)
    """Fingerprint of those tokens alone; empty before format 3."""
    embedding: str = field(default="", validator=_text)
    """Fingerprint of what made the vectors of those memories; empty without any, and before format
    3."""
    best_step: int | None = field(
        default=None, validator=validators.optional(validators.instance_of(int))
    )
    """Step with the lowest held-out loss so far."""
    best_loss: float | None = field(
        default=None, validator=validators.optional(validators.instance_of(float))
    )
    """That loss, in nats a token."""
    past: list[dict[str, int]] = field(
        factory=list, validator=validators.deep_iterable(validators.instance_of(dict))
    )
    """``until`` which step it had the learning rates of how many ``steps``, where that is not what
    its configuration says; empty before format 4."""
    files: dict[str, dict[str, Any]] = field(
        factory=dict,
        validator=validators.deep_mapping(_text, validators.instance_of(dict)),
    )
    """Size and SHA-256 of every other file."""


def write_state(folder: Path, state: State) -> None:
    """Say of a checkpoint what it is, in the present format."""
    plain = attrs.asdict(attrs.evolve(state, format=FORMAT))
    sealed = {**plain, "sha256": _seal(plain)}
    replace_text(folder / "state.json", json.dumps(sealed, indent=1))


def _seal(plain: Mapping[str, Any]) -> str:
    """Hex SHA-256 of what a state says."""
    return hashlib.sha256(canonical(plain)).hexdigest()


def read_state(folder: Path) -> State:
    """What a checkpoint says of itself.

    Raises:
        ModelLoadError: there is no checkpoint, it is damaged, or of a newer format.
    """
    path = folder / "state.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        seal = data.pop("sha256", None)
        state = state_of(data, path)
        changed = state.format >= _SEALED and seal != _seal(data)
    except FileNotFoundError:
        raise ModelLoadError(f"{path}: is missing; expected the folder of a checkpoint") from None
    except OSError as error:
        raise ModelLoadError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelLoadError(f"{path}: is truncated or changed: {_words(error)}") from error
    if changed:
        raise ModelLoadError(
            f"{path}: is truncated or changed: its SHA-256 is not the one it was written with"
        )
    return state


def state_of(data: Mapping[str, Any], path: Path) -> State:
    """What plain data says of a checkpoint, under the settings that its format implied.

    Args:
        data: as a file has it.
        path: of that file, for messages.

    Raises:
        ModelLoadError: its format is newer than this version's.
        TypeError, ValueError, KeyError: it describes no checkpoint.
    """
    version, values = data["format"], data["values"]
    if isinstance(version, int) and version > FORMAT:
        raise ModelLoadError(
            f"{path}: written in format {version} by a newer version of ai-os-diffusion; "
            f"this one reads up to {FORMAT}"
        )
    if version < _IN_ROWS:
        diffusion = {"packing": "stream", **values["diffusion"]}
        data = {**data, "values": {**values, "diffusion": diffusion}}
    return State(**data)


def _words(error: Exception) -> str:
    """What is wrong with a file in a few words, never its content."""
    match error:
        case UnicodeDecodeError():
            return f"byte {error.start} is not UTF-8"
        case KeyError():
            return f"{error.args[0]!r:.40} is missing"
        case _:  # attrs puts the whole value behind its words
            return f"{error.args[0] if error.args else error!r}"[:200]
