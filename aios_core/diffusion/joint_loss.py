"""What training a network of several modalities minimises: a part for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from attrs import frozen
from torch import Tensor

from aios_core.component import blamed
from aios_core.contracts import Continuous, TrainingContext
from aios_core.diffusion.objective import Answer

if TYPE_CHECKING:
    from typing import Any

    from aios_core.contracts import Objective, Randomness
    from aios_core.diffusion.joint import Joint, Part


@frozen(eq=False)
class Segments:
    """B rows of segments, by the names of their modalities; those that no row has are left out."""

    clean: Mapping[str, Tensor]
    """(B, L) int64 tokens or (B, L, C) numbers; anything where a row has none."""
    targets: Mapping[str, Tensor]
    """(B, L) bool: what is noised and learned; the rest of a segment that is there is given."""
    present: Mapping[str, Tensor]
    """(B,) bool."""


def joint_losses(
    model: Joint,
    objectives: Mapping[str, Objective],
    rows: Segments,
    times: Mapping[str, Tensor],
    random: Mapping[str, Randomness],
) -> dict[str, Tensor]:
    """One estimate of each objective for each row, with one call of the network.

    Args:
        model: in training mode.
        objectives: of each modality.
        rows: on the CPU.
        times: (B, 1) float64 of each segment, from `draw_times`.
        random: of the noise of each, a stream for each row.

    Returns:
        (B,) nats by name, 0 in rows without a target.
    """
    noisy, contexts = {}, {}
    for name, x0 in rows.clean.items():
        part: Any = model.part(name)  # a schedule may be a module
        contexts[name] = TrainingContext(part.noise, part.process)
        targets = rows.targets[name] & rows.present[name][:, None]
        with blamed(objectives[name], "draw"):
            noisy[name] = objectives[name].draw(
                x0, targets, times[name], random[name], contexts[name]
            )
    # What is given is clean: its time is 0, whatever that of the targets around it.
    clock = {n: torch.where(each.targets, each.times, 0.0) for n, each in noisy.items()}
    h = model.states({n: each.z for n, each in noisy.items()}, clock, rows.present)
    losses = {}
    for name, each in noisy.items():
        answer = Answer(model.part(name), each, h[name])
        with blamed(objectives[name], "score"):
            losses[name] = objectives[name].score(each, answer, contexts[name])
    return losses


def mean_loss(part: Part, losses: Tensor) -> Tensor:
    """() of losses (B,): a mean over rows, positions, and the numbers of each position."""
    space = part.process.space
    width = space.channels if isinstance(space, Continuous) else 1
    mean: Tensor = losses.sum() / (len(losses) * part.length * width)
    return mean
