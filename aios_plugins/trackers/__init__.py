"""The default trackers, one a file; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_trackers() -> dict[str, str]:
    """Names and where they are defined."""
    return {
        "jsonl": "aios_plugins.trackers.jsonl:Jsonl",
        "tensorboard": "aios_plugins.trackers.tensorboard:TensorBoard",
        "wandb": "aios_plugins.trackers.wandb:WandB",
    }
