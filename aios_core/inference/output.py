"""What the engine answers: the state after a step, and the whole at the end."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

from attrs import fields, frozen

if TYPE_CHECKING:
    from collections.abc import Sequence


Mode = Literal["ar", "diffusion"]

FinishReason = Literal["stop", "length"]
"""An end-of-text token, or as many tokens as were asked for."""


@frozen
class Output:
    """Finished texts; every tuple has an entry for each row."""

    mode: Mode
    """Which model wrote them."""
    texts: tuple[str, ...]
    """Whole texts, with all that was given."""
    completions: tuple[str, ...]
    """What was written, without what was given."""
    token_ids: tuple[tuple[int, ...], ...]
    """Of whole rows, an end-of-text token included."""
    given: tuple[tuple[bool, ...], ...]
    """Which of them the caller gave."""
    log_probs: tuple[tuple[float, ...], ...]
    """Log-probability of each token, before any temperature, in the prediction that it was drawn
    from; 0 for what was given. Their sum is the likelihood of the text where the mode is ``"ar"``;
    in diffusion it depends on the order and on what was drawn together."""
    uncertainty: tuple[tuple[float, ...], ...]
    """Entropy in nats of the prediction that each token was drawn from; 0 for what was given."""
    flips: tuple[tuple[int, ...], ...]
    """How often the likeliest token of each position changed before it was written, which measures
    uncertainty too; 0 for what was given, and nothing unless ``count_flips``."""
    finish_reasons: tuple[FinishReason, ...]
    seeds: tuple[int, ...]
    """With these as ``seeds`` a row is written again, alone or in any batch."""
    cues: tuple[tuple[Any, ...], ...]
    """What each text was written with, in the conditioner's own words (`CueSource.used`); nothing
    unless ``conditioned``."""
    nfe: int
    """Evaluations of the network's function, each for a whole batch."""
    seconds: float
    """Wall-clock time."""

    @property
    def memories(self) -> tuple[tuple[Any, ...], ...]:
        """The ``cues``, of a network that is conditioned on memories: the nearest first."""
        return self.cues

    @classmethod
    def join(cls, parts: Sequence[Output]) -> Output:
        """One output of several batches."""
        rows = {
            field.name: tuple(chain.from_iterable(getattr(part, field.name) for part in parts))
            for field in fields(cls)
            if field.name not in ("mode", "nfe", "seconds")
        }
        return cls(
            mode=parts[0].mode,
            nfe=sum(part.nfe for part in parts),
            seconds=sum(part.seconds for part in parts),
            **rows,
        )


@frozen
class Update:
    """The state after a step; every tuple has an entry for each row."""

    step: int
    """0 is what the caller gave."""
    nfe: int
    """Evaluations of the network so far."""
    token_ids: tuple[tuple[int, ...], ...]
    """Whole rows; the mask id where nothing stands yet."""
    given: tuple[tuple[bool, ...], ...]
    """Which of them the caller gave."""
    new: tuple[tuple[bool, ...], ...]
    """Which of them came in this step."""
    deltas: tuple[str, ...]
    """Text to append to what was shown before: what is now complete from the left. Joined, they
    are the completion, for each row. While a sampler may still change its mind they are empty."""
    output: Output | None = None
    """After the last step, whose update is repeated, cut where the texts end."""
