"""Gradient checkpointing: layers keep what they are given, and are computed again when needed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from torch import nn
from torch.utils.checkpoint import checkpoint

from aios_core.component import named
from aios_core.errors import PluginError

if TYPE_CHECKING:
    from aios_core.contracts import Backbone


def recompute(module: nn.Module, backbone: Backbone) -> None:
    """Have each layer of a network computed again in the backward pass (arXiv 1604.06174).

    Dropout draws the same again, so gradients are those without.

    Args:
        module: of the backbone; its layers are changed, their parameters and names are not.
        backbone: says which are its layers.

    Raises:
        PluginError: it has none by that name.
    """
    name = backbone.recomputed or ""
    try:
        layers = module.get_submodule(name)
    except AttributeError:
        layers = None
    if not isinstance(layers, nn.ModuleList) or not name:
        raise PluginError(
            f"{named(backbone)}: recomputed = {backbone.recomputed!r}; expected the name of a "
            "ModuleList in its module"
        )
    for layer in layers:
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
