"""Keys of earlier versions, read as those that stand for them today.

Runs, weight files and locks hold whole configurations, and so may files of users. Each layer of a
configuration (a file, plain values, ``--set``) passes here before it is merged with others.
"""

from __future__ import annotations

from typing import Final

from aios_core.config.document import Node
from aios_core.errors import ConfigError

_OF_POLICY: Final = {"policy": "type", "thresholds": "thresholds"}
"""Keys of ``[evolution]``, by what they are in ``[policy]``."""


def upgraded(layer: Node) -> Node:
    """A layer in the keys of today; the same object where it has no others.

    ``evolution.policy`` and ``evolution.thresholds`` are ``policy.type`` and ``policy.thresholds``.
    ``[memory]`` is ``[conditioner]`` with the type ``memory``; with ``k = 0`` it is the type
    ``none``, of which its other keys said nothing. ``[tracker]`` is the only entry of
    ``[[trackers]]``.

    Raises:
        ConfigError: it says a thing in the old and in the new way.
    """
    return _of_policy(_of_memory(_of_tracker(layer)))


def _of_memory(layer: Node) -> Node:
    memory = layer.get("memory")
    if memory is None or not isinstance(memory.value, dict):
        return layer
    rest = layer.without("memory")
    if not memory.value:
        return rest
    if layer.get("conditioner") is not None:
        wrong = "is [conditioner] today, and there is one; expected it alone"
        raise ConfigError(memory.source.problem(("memory",), wrong))
    k = memory.get("k")
    off = k is not None and type(k.value) is int and k.value == 0
    keys = {} if off else memory.value
    conditioner = {"type": Node("none" if off else "memory", memory.source), **keys}
    return Node({**rest.value, "conditioner": Node(conditioner, memory.source)}, layer.source)


def _of_tracker(layer: Node) -> Node:
    tracker = layer.get("tracker")
    if tracker is None:
        return layer
    if layer.get("trackers") is not None:
        wrong = "is [[trackers]] today, and there are some; expected these alone"
        raise ConfigError(tracker.source.problem(("tracker",), wrong))
    rest, trackers = layer.without("tracker"), Node([tracker], tracker.source)
    return Node({**rest.value, "trackers": trackers}, layer.source)


def _of_policy(layer: Node) -> Node:
    evolution = layer.get("evolution")
    old = {} if evolution is None else {key: evolution.get(key) for key in _OF_POLICY}
    moved = {_OF_POLICY[key]: node for key, node in old.items() if node is not None}
    if evolution is None or not moved:
        return layer
    if layer.get("policy") is not None:
        key, node = next((key, node) for key, node in old.items() if node is not None)
        wrong = f"is policy.{_OF_POLICY[key]} today, and there is [policy]; expected it alone"
        raise ConfigError(node.source.problem(("evolution", key), wrong))
    if "type" in moved and moved["type"].value != "uncertainty":
        moved.pop("thresholds", None)  # no other policy had them, but they were written out
    policy = Node(moved, next(iter(moved.values())).source)
    return Node(
        {**layer.value, "evolution": evolution.without(*_OF_POLICY), "policy": policy},
        layer.source,
    )
