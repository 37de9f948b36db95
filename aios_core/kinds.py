"""Every kind of component: the section a config file gives it, its hook, and its contract.

One row a kind, and the only place where the three are tied together. Contracts are named as text,
so that listing plugins imports none of them.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Kind(NamedTuple):
    """A kind of component."""

    name: str
    """Singular; the config section, and the first half of a pin such as ``"noise.cosine"``."""
    hook: str
    """The hook of `aios_core.hookspecs` that collects it."""
    contract: str
    """``"module:Class"`` of the contract that its components subclass."""


KINDS: Final[dict[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind("noise", "aios_noise_schedulers", "aios_core.contracts.noise:NoiseScheduler"),
        Kind("corruption", "aios_corruptions", "aios_core.contracts.corruption:Corruption"),
        Kind("objective", "aios_objectives", "aios_core.contracts.objective:Objective"),
        Kind("sampler", "aios_samplers", "aios_core.contracts.sampler:Sampler"),
        Kind("head", "aios_projection_heads", "aios_core.contracts.head:ProjectionHead"),
        Kind("backbone", "aios_backbones", "aios_core.contracts.backbone:Backbone"),
        Kind("tokenizer", "aios_tokenizers", "aios_core.contracts.tokenizer:Tokenizer"),
        Kind("dataset", "aios_datasets", "aios_core.contracts.dataset:Dataset"),
        Kind("quantizer", "aios_quantizers", "aios_core.contracts.quantizer:Quantizer"),
        Kind("storage", "aios_storage_backends", "aios_core.contracts.storage:StorageBackend"),
        Kind(
            "embedding",
            "aios_embedding_providers",
            "aios_core.contracts.embedding:EmbeddingProvider",
        ),
        Kind("level", "aios_evolution_levels", "aios_core.contracts.evolution:EvolutionLevel"),
        Kind("metric", "aios_metrics", "aios_core.contracts.metric:Metric"),
        Kind("executor", "aios_executors", "aios_core.contracts.executor:Executor"),
        Kind("tracker", "aios_trackers", "aios_core.contracts.tracker:Tracker"),
    )
}
