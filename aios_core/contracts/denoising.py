"""How samplers are run: coroutines that ask, and whoever answers them, one or many at once.

A sampler yields ``(state, t)`` and is sent what the network predicts of that state at that time. It
never calls the network, so its questions may wait for those of others and be answered together.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts.model import Denoiser

Key = TypeVar("Key")


class Question(NamedTuple):
    """What a sampler yields; a plain tuple of the first two will do."""

    state: Tensor
    """(B, L) int64. If it is another tensor than the one yielded before, it is a new state."""
    t: Tensor | None
    """(B,) float64 times in [0, 1]; None: nothing is asked about this state, and what is sent
    means nothing."""
    part: slice | None = None
    """Positions that the question is about, start and stop given: the answer is
    (B, stop - start, V). None: all of them, (B, L, V)."""
    new: bool = True
    """False: no state of the text, but a point on the way to one, which nobody is shown."""


Denoising: TypeAlias = "Generator[Question | tuple[Tensor, Tensor | None], Tensor, Tensor]"
"""A run of a sampler: it yields questions, is sent log-probabilities, returns the last state."""


def states(
    run: Denoising,
    x: Tensor,
    denoiser: Denoiser,
    guard: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Iterator[Tensor]:
    """Each new state of one run, which a denoiser answers; none is asked about before it was given.

    Args:
        run: just begun.
        x: (B, L) int64, the state that it began with.
        denoiser: whom it asks.
        guard: a context for the sampler's own code, and no other.

    Raises:
        TypeError: the run yields no question, or returns no state; inside the guard.
    """
    with guard():
        _check(run)
    shown, answer = x, None
    try:
        while True:
            with guard():
                question, ended = _next(run, answer)
            answer = None  # before the next one is made, for each is large
            if question.new and question.state is not shown:
                yield question.state
                shown = question.state
            if ended:
                return
            if question.t is not None:
                answer = _ask(denoiser, question.state, question.t, question.part)
    finally:
        run.close()


def together(
    runs: Mapping[Key, Denoising], answer: Callable[[Mapping[Key, Question]], Mapping[Key, Tensor]]
) -> dict[Key, Tensor]:
    """The last state of many runs side by side: each round of questions is one call.

    The number of calls is that of the longest run, whatever steps the others take; each ends as it
    would have alone.

    Args:
        runs: just begun.
        answer: from the questions of all that still run to what the network says of each.

    Raises:
        TypeError: a run yields no question, or returns no state.
    """
    for run in runs.values():
        _check(run)
    asked: dict[Key, Question] = {}
    ends: dict[Key, Tensor] = {}

    def resume(key: Key, sent: Tensor | None) -> None:
        question, ended = _next(runs[key], sent)
        while not ended and question.t is None:
            question, ended = _next(runs[key], None)
        if ended:
            ends[key] = question.state
        else:
            asked[key] = question

    try:
        for key in runs:
            resume(key, None)
        while asked:
            questions, asked = asked, {}
            answers = answer(questions)
            for key in questions:
                resume(key, answers[key])
    finally:
        for run in runs.values():
            run.close()
    return {key: ends[key] for key in runs}


def rephrased(
    run: Denoising,
    *,
    question: Callable[[Question], Question] | None = None,
    answer: Callable[[Tensor], Tensor] | None = None,
) -> Denoising:
    """A run whose questions, or the answers to them, are changed on the way.

    Args:
        run: just begun.
        question: of each question, and of the last state; None: as they are.
        answer: of each answer; None: as they are.
    """
    _check(run)
    sent = None
    try:
        while True:
            asked, ended = _next(run, sent)
            asked = asked if question is None else question(asked)
            if ended:
                return asked.state
            sent = None  # before the next one is made, for each is large
            sent = yield asked
            if asked.t is not None and answer is not None:
                sent = answer(sent)
    finally:
        run.close()


def ask(denoiser: Denoiser, x: Tensor, t: Tensor, start: int, stop: int) -> Tensor:
    """What a denoiser says of some positions of x (B, L): (B, stop - start, V).

    One that has a method ``part(x, t, start, stop)`` is asked for no more than these, which may be
    much cheaper; any other for all of them.
    """
    part: Callable[[Tensor, Tensor, int, int], Tensor] | None = getattr(denoiser, "part", None)
    return denoiser(x, t)[:, start:stop] if part is None else part(x, t, start, stop)


def _ask(denoiser: Denoiser, x: Tensor, t: Tensor, part: slice | None) -> Tensor:
    return denoiser(x, t) if part is None else ask(denoiser, x, t, part.start, part.stop)


def _next(run: Denoising, sent: Tensor | None) -> tuple[Question, bool]:
    """The next question, or the last state and that it is the last."""
    from torch import Tensor

    try:
        asked = run.send(sent)  # type: ignore[arg-type]
    except StopIteration as end:
        if not isinstance(end.value, Tensor):
            raise TypeError(
                f"denoise returns {_kind(end.value)}; expected the last state"
            ) from None
        return Question(end.value, None), True
    if not isinstance(asked, tuple) or not 2 <= len(asked) <= 4:
        raise TypeError(f"denoise yields {_kind(asked)}; expected (state, t)")
    question = Question(*asked)
    if not isinstance(question.state, Tensor):
        raise TypeError(f"a step gives {_kind(question.state)}; expected a Tensor")
    if not isinstance(question.t, Tensor | None):
        raise TypeError(f"denoise yields {_kind(question.t)} as times; expected a Tensor or None")
    return question, False


def _check(run: object) -> None:
    if not isinstance(run, Generator):
        raise TypeError(f"denoise gives {_kind(run)}; expected it to yield (state, t)")


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__
