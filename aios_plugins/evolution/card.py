"""Skill cards: a folder that holds an adaptation, and says what it is for and what it is worth.

``adapter_config.json`` and ``adapter_model.safetensors`` are the adaptation, under the names that
PEFT gave them; ``skill.json`` is the card; ``README.md`` is the same for people and hubs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
from attrs import field, frozen, validators
from safetensors import SafetensorError, safe_open

from aios_core import strict_json
from aios_core.config.lock import library_versions
from aios_core.contracts import Adaptation
from aios_core.errors import EvolutionError
from aios_core.training.digest import tensors_digest, text_digest
from aios_plugins.evolution.readme import readme

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import TrainedRun

CONFIG: Final = "adapter_config.json"
WEIGHTS: Final = "adapter_model.safetensors"
CARD: Final = "skill.json"
FILES: Final = ("README.md", CONFIG, WEIGHTS, CARD)
MAX_JSON: Final = 16 * 2**20
"""Bytes of a JSON file of a card; a larger one is something else."""

_text = validators.instance_of(str)
_hex = validators.matches_re(r"[0-9a-f]{64}")
_table = validators.instance_of(dict)
_whole = validators.and_(validators.instance_of(int), validators.ge(-(2**63)), validators.lt(2**63))
_count = validators.and_(_whole, validators.ge(0))


def _verdict(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    """Empty, or with the numbers of both domains, which commands show."""
    numbers = ("before", "after", "delta", "low", "high")
    wrong = not isinstance(value, dict) or any(
        not isinstance(of := value.get(name), dict)
        or any(type(of.get(name)) not in {float, int, type(None)} for name in numbers)
        for name in ("target", "base")
        if value
    )
    if wrong:
        raise ValueError(
            f"{attribute.name}: expected an empty object, or target and base with "
            f"{', '.join(numbers)} each, got {value!r:.80}"
        )


@frozen(kw_only=True)
class Card:
    """What ``skill.json`` says."""

    schema_version: int = field(default=1, validator=validators.in_([1]))
    skill_id: str = field(default="", validator=_text)
    """Digest of level, base, parent, configuration and every bit of the tensors."""
    name: str = field(validator=validators.matches_re(r"[a-z0-9][a-z0-9-]{0,63}"))
    """For people: letters, digits and hyphens."""
    description: str = field(default="", validator=_text)
    """What it is for, and when; what a search by context reads."""
    level: str = field(validator=_text)
    """Registry name of the level that applies it."""
    mode: str = field(validator=validators.in_(["diffusion", "ar"]))
    """Of the models that it is for."""
    base_sha256: str = field(validator=_hex)
    """Of all tensors of the trained model at the root."""
    parent: str | None = field(default=None, validator=validators.optional(_hex))
    """Skill that it was learned on top of; None: on the base."""
    result_sha256: str = field(validator=_hex)
    """Of all tensors of the model with it."""
    tokenizer_sha256: str = field(validator=_text)
    mask_token_id: int = field(validator=_count)
    vocab_size: int = field(validator=_count)
    parameters: int = field(validator=_count)
    """Changed or added."""
    parameters_total: int = field(validator=_count)
    """Of the model that it was learned on."""
    scores: dict[str, Any] = field(factory=dict, validator=_verdict)
    """Verdict of the gate: nats a token before and after, with bounds, on target and base."""
    report: dict[str, Any] = field(factory=dict, validator=_verdict)
    """The same on texts that decided nothing."""
    data: str = field(default="", validator=_text)
    """Fingerprint of the texts that it was learned from."""
    seed: int = field(default=0, validator=_whole)
    seconds: float = field(default=0.0, validator=validators.instance_of((int, float)))
    """That learning took."""
    created: str = field(default="", validator=_text)
    """UTC, ISO 8601."""
    versions: dict[str, str] = field(factory=dict, validator=_table)
    """Of libraries."""
    revoked: bool = field(default=False, validator=validators.instance_of(bool))


def identified(card: Card, adaptation: Adaptation) -> Card:
    """The card with the id that follows from its content."""
    facts = {
        "level": card.level,
        "base": card.base_sha256,
        "parent": card.parent,
        "config": data_digest(adaptation.config),
        "tensors": tensors_digest(adaptation.tensors),
    }
    return attrs.evolve(card, skill_id=data_digest(facts))


def made_for(
    trained: TrainedRun, level: str, adaptation: Adaptation, *, base: str, name: str, **facts: Any
) -> Card:
    """A card for what a level learned; its result is that of the base until more is known.

    Args:
        trained: the run, without any skill.
        level: registry name of the level.
        adaptation: what was learned.
        base: digest of the network as it was trained.
        name: of the skill.
        facts: further fields of the card.
    """
    vocabulary = trained.tokenizer.vocabulary
    known: dict[str, Any] = {
        "result_sha256": base,
        "parameters_total": trained.model.num_parameters(),
        "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "versions": library_versions(),
    }
    card = Card(
        name=name,
        level=level,
        mode=trained.model.mode,
        base_sha256=base,
        tokenizer_sha256=trained.tokenizer.fingerprint,
        mask_token_id=vocabulary.mask_id,
        vocab_size=vocabulary.size,
        parameters=adaptation.parameters,
        **(known | facts),
    )
    return identified(card, adaptation)


def slug(name: str) -> str:
    """A name that a card may have, from one that people gave.

    Raises:
        EvolutionError: it is empty.
    """
    if not name.strip():
        raise EvolutionError(f"expected a name for the skill, got {name!r:.80}")
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)
    return kept.lower().strip("-")[:64] or "skill"


def data_digest(data: Mapping[str, Any]) -> str:
    """SHA-256 of plain data."""
    return text_digest([json.dumps(data, sort_keys=True, separators=(",", ":"))])


def write(folder: Path, card: Card, adaptation: Adaptation) -> None:
    """Write a card into a folder that is there.

    Raises:
        OSError: it cannot be written; the folder holds half of it.
        EvolutionError: it holds a number that is not finite, so it could not be read again.
    """
    _refuse_infinite(f"skill {card.name}", adaptation.tensors)
    for facts in (adaptation.config, attrs.asdict(card)):
        if where := next(_infinite(facts), None):
            raise EvolutionError(f"skill {card.name}: expected finite numbers, got {where}")
    save_adaptation(folder, adaptation)
    (folder / CARD).write_text(_json(attrs.asdict(card)), encoding="utf-8")
    (folder / "README.md").write_text(readme(card), encoding="utf-8")


def save_adaptation(folder: Path, adaptation: Adaptation) -> None:
    """Write the two files of an adaptation into a folder that is there.

    Raises:
        OSError: one cannot be written.
    """
    from safetensors.torch import save_file

    try:
        save_file(adaptation.tensors, folder / WEIGHTS, {"format": "pt"})
    except SafetensorError as error:
        raise OSError(str(error)) from error
    (folder / CONFIG).write_text(_json(adaptation.config), encoding="utf-8")


def read_card(folder: Path) -> Card:
    """What a card says, its tensors unread.

    Raises:
        EvolutionError: there is none, or it is damaged.
    """
    data = read_json(folder / CARD)
    try:
        return Card(**data)
    except (TypeError, ValueError) as error:
        raise EvolutionError(f"{folder / CARD}: is not a skill card: {error!r:.200}") from error


def read(folder: Path) -> tuple[Card, Adaptation]:
    """A card with its adaptation, every bit held against its id.

    Raises:
        EvolutionError: there is none, it is damaged, or it holds what might run.
    """
    card = read_card(folder)
    adaptation = read_adaptation(folder, card.parameters)
    digest = identified(card, adaptation).skill_id
    if digest != card.skill_id:
        raise EvolutionError(
            f"{folder}: is changed: its content has the id {digest[:12]}, and its card says "
            f"{card.skill_id[:12]}"
        )
    return card, adaptation


def read_adaptation(folder: Path, parameters: int | None = None) -> Adaptation:
    """The two files of an adaptation, ours or PEFT's.

    Args:
        folder: with ``adapter_config.json`` and ``adapter_model.safetensors``.
        parameters: what its card says; None: as many as it has.

    Raises:
        EvolutionError: one is missing or damaged, or the folder holds a pickle or leads elsewhere.
    """
    refuse_foreign(folder)
    config = read_json(folder / CONFIG)
    try:
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise EvolutionError(f"{folder / WEIGHTS}: is not a safetensors file: {error}") from error
    _refuse_infinite(str(folder / WEIGHTS), tensors)
    count = sum(tensor.numel() for tensor in tensors.values())
    return Adaptation(config, tensors, count if parameters is None else parameters)


def refuse_foreign(folder: Path) -> None:
    """Nothing of a card may run code or lie outside of it.

    Raises:
        EvolutionError: naming the file.
    """
    if not folder.is_dir():
        raise EvolutionError(f"{folder}: is not a folder; expected that of a skill card")
    for path in folder.rglob("*"):
        if path.is_symlink():
            raise EvolutionError(f"{path}: is a link, and a card holds files alone")
        if path.suffix.lower() in {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".py"}:
            raise EvolutionError(
                f"{path}: could run code when it is read; a card's weights are {WEIGHTS}"
            )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a card.

    Raises:
        EvolutionError: there is none.
    """
    try:
        if path.stat().st_size > MAX_JSON:
            raise EvolutionError(f"{path}: {path.stat().st_size} bytes are too many for a card")
        data = strict_json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EvolutionError(f"{path}: is missing; a skill card has {', '.join(FILES)}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise EvolutionError(f"{path}: cannot be read: {error!r:.200}") from error
    if not isinstance(data, dict):
        raise EvolutionError(f"{path}: expected an object, got {type(data).__name__}")
    if where := next(_infinite(data), None):
        raise EvolutionError(f"{path}: expected finite numbers, got {where}")
    return data


def _infinite(data: Any, at: str = "") -> Iterator[str]:
    """Every number that is not finite, as in ``"a.b = nan"``: JSON of others may hold them."""
    if isinstance(data, float) and not math.isfinite(data):
        yield f"{at} = {data}"
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from _infinite(value, f"{at}.{key}".lstrip("."))
    elif isinstance(data, list | tuple):
        for number, value in enumerate(data):
            yield from _infinite(value, f"{at}[{number}]")


def _refuse_infinite(where: str, tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise EvolutionError(f"{where}: {name!r:.80} holds a value that is not finite")


def _json(data: dict[str, Any]) -> str:
    return json.dumps(data, indent=1, allow_nan=False) + "\n"
