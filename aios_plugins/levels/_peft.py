"""The file format of PEFT's LoRA: what of it is read, and what is refused by name."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from aios_core.errors import EvolutionError

PREFIX: Final = "base_model.model."

_ANY: Final = frozenset(
    {
        "auto_mapping",
        "base_model_name_or_path",
        "exclude_modules",
        "inference_mode",
        "layers_pattern",
        "layers_to_transform",
        "lora_dropout",
        "megatron_core",
        "peft_version",
        "qalora_group_size",
        "revision",
        "target_modules",
        "task_type",
    }
)
"""Keys that change nothing of ``y = W x + scale B A x``: where an adapter came from, how it was
trained, and which layers have an update, which its tensors say too."""
_OFF: Final[dict[str, tuple[Any, ...]]] = {
    "alora_invocation_tokens": (None,),
    "alpha_pattern": (None, {}),
    "arrow_config": (None,),
    "bias": ("none",),
    "corda_config": (None,),
    "ensure_weight_tying": (None, False),
    "eva_config": (None,),
    "fan_in_fan_out": (None, False),
    "init_lora_weights": (None, True, False, "gaussian", "orthogonal", "mica"),
    "kasa_config": (None,),
    "layer_replication": (None,),
    "loftq_config": (None, {}),
    "lora_bias": (None, False),
    "lora_ga_config": (None,),
    "megatron_config": (None,),
    "modules_to_save": (None, []),
    "monteclora_config": (None,),
    "rank_pattern": (None, {}),
    "target_parameters": (None, []),
    "trainable_token_indices": (None, []),
    "use_bdlora": (None, False),
    "use_dora": (None, False),
    "use_qalora": (None, False),
    "use_rslora": (None, False, True),
    "velora_config": (None,),
}
"""Keys that may change what is computed, and the values with which they do not (of
``use_rslora``: with which it is known how). An `init_lora_weights` such as pissa changes the weight
beside the update, which an adapter does not hold."""


def written(rank: int, alpha: float, layers: Iterable[str]) -> dict[str, Any]:
    """What PEFT reads of an adapter.

    Args:
        rank: of every update.
        alpha: the scale times the rank.
        layers: names of the modules that have one.
    """
    return {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": alpha,
        "target_modules": sorted(layers),
        "base_model_name_or_path": None,
        "task_type": None,
        "bias": "none",
        "inference_mode": True,
    }


def read(config: Mapping[str, Any]) -> tuple[int, float]:
    """Rank and scale of an adapter, from what ``adapter_config.json`` holds.

    Raises:
        EvolutionError: it is no LoRA, or needs what is not done here; naming the key.
    """
    if config.get("peft_type") != "LORA":
        raise EvolutionError(f"peft_type: expected 'LORA', got {config.get('peft_type')!r:.80}")
    for key, value in config.items():
        _allow(key, value)
    rank: Any = config.get("r")
    alpha: Any = config.get("lora_alpha")
    if type(rank) is not int or not 1 <= rank <= 2**31:
        raise EvolutionError(f"r: expected a whole number from 1, got {rank!r:.80}")
    if type(alpha) not in {int, float} or not 0 < alpha <= 1e9:
        raise EvolutionError(
            f"lora_alpha: expected a number above 0 and at most 1e9, got {alpha!r:.80}"
        )
    return rank, alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _allow(key: str, value: Any) -> None:
    if key in _ANY or key in {"peft_type", "r", "lora_alpha"}:
        return
    known = _OFF.get(key)
    if known is None:
        raise EvolutionError(
            f"{key!r:.80} = {value!r:.80}: is a key that may change what is computed, and is not "
            "supported; expected an adapter without it"
        )
    if not any(type(value) is type(choice) and value == choice for choice in known):
        each = " or ".join(repr(choice) for choice in known)
        raise EvolutionError(f"{key} = {value!r:.80}: is not supported; expected {each}")


def check_layers(config: Mapping[str, Any], layers: Iterable[str]) -> None:
    """Whether PEFT would update the layers of which an adapter has tensors.

    A regular expression is left to PEFT, which made the tensors by it.

    Raises:
        EvolutionError: it would leave one out.
    """
    for layer in layers:
        for key, chosen in (("target_modules", True), ("exclude_modules", False)):
            named = config.get(key)
            if isinstance(named, list) and chosen != any(
                f".{layer}".endswith(f".{name}") for name in named
            ):
                raise EvolutionError(
                    f"{key} = {named!r:.80}: PEFT would leave out {layer!r:.200}, for which the "
                    "adapter holds an update"
                )


def check_whole(config: Mapping[str, Any], tensors: Iterable[str], modules: Iterable[str]) -> None:
    """Whether an adapter has tensors of every layer that PEFT would update.

    A regular expression is left to PEFT, and so is ``"all-linear"``.

    Args:
        config: what ``adapter_config.json`` holds.
        tensors: names of the adapter's tensors.
        modules: names of the model's linear layers.

    Raises:
        EvolutionError: a layer that it names has none; naming the first.
    """
    targets, excluded = config.get("target_modules"), config.get("exclude_modules")
    if not isinstance(targets, list) or isinstance(excluded, str):
        return
    there = {name.removeprefix(PREFIX).rpartition(".lora_")[0] for name in tensors}
    named = [
        name
        for name in modules
        if _ends(name, targets) and not _ends(name, excluded or []) and _in_layers(name, config)
    ]
    missing = [name for name in named if name not in there]
    if missing:
        raise EvolutionError(
            f"target_modules = {targets!r:.80}: the adapter holds no tensors for {missing[0]!r}: "
            f"they are missing for {len(missing)} of {len(named)} layers; expected an adapter with "
            "all of its tensors"
        )


def _ends(name: str, endings: Iterable[Any]) -> bool:
    return any(f".{name}".endswith(f".{ending}") for ending in endings)


def _in_layers(name: str, config: Mapping[str, Any]) -> bool:
    """Whether a layer is in one of the blocks that are updated, by PEFT's rule for its number."""
    chosen, patterns = config.get("layers_to_transform"), config.get("layers_pattern") or []
    if chosen is None or chosen == []:
        return True
    patterns = [patterns] if isinstance(patterns, str) else patterns
    for pattern in [re.escape(str(pattern)) for pattern in patterns] or [r"[^.]*"]:
        if number := re.match(rf".*\.{pattern}\.(\d+)\.", name):
            return int(number[1]) in (chosen if isinstance(chosen, list) else [chosen])
    return False
