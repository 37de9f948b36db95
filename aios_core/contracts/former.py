"""The forms that samplers and objectives had in version 0.1, served in 0.2 and no longer in 0.3.

A sampler wrote ``sample(denoiser, x, context)`` and called the denoiser itself; an objective wrote
``losses(model, x0, valid, times, generator)`` and called the network itself.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from aios_core.contracts.denoising import Question

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts.denoising import Denoising

SAMPLER = """{name} writes sample(denoiser, x, context), which version 0.3 will not call; write

    def denoise(self, x, context):
        ...
        log_probs = yield x, t  # instead of denoiser(x, t)
        ...
        return x  # the last state; states in between need no yield of their own"""

OBJECTIVE = """{name} writes losses(model, x0, valid, times, generator), which version 0.3 will \
not call; write

    def draw(self, x0, targets, times, random, context):
        ...
        return Noisy(x0, z, times, targets)  # what the network is asked; often that of Objective

    def score(self, noisy, prediction, context):
        ...
        return losses  # (B,) nats, given the network's prediction"""


def serve_sampler(cls: type[Any]) -> None:
    """Let a class that writes `sample` alone be run as one that writes `denoise`."""
    if "sample" in vars(cls) and "denoise" not in vars(cls):
        cls.denoise = _denoise


def serve_objective(cls: type[Any]) -> None:
    """Let a class that writes `losses` alone do without `score`."""
    if "losses" in vars(cls) and "score" not in vars(cls):
        cls.score = _score


def is_former_objective(objective: object) -> bool:
    """Whether it writes `losses`; if so, a warning shows the new form."""
    former = getattr(type(objective), "score", None) is _score
    if former:
        warn(objective, OBJECTIVE)
    return former


def written(cls: type[Any]) -> Any:
    """The `denoise` of the nearest class that has one of its own."""
    methods = (vars(base).get("denoise") for base in cls.__mro__)
    return next(method for method in methods if method not in {None, _denoise})


def warn(part: object, form: str) -> None:
    """Show the new form."""
    warnings.warn(form.format(name=type(part).__qualname__), DeprecationWarning, stacklevel=2)


def _score(self: object, *_: object) -> Any:
    raise TypeError(f"{type(self).__qualname__} writes losses, and is asked for its score")


def _denoise(self: Any, x: Tensor, context: Any) -> Denoising:
    """A run of `sample` that asks as a coroutine does, for it waits in a thread of its own."""
    warn(self, SAMPLER)
    thread = _Thread(self, x, context)
    last, answer = x, None
    try:
        while True:
            asked = thread.resume(answer)
            if asked is None:
                return last
            state, t = asked
            last = state if t is None else last
            answer = yield Question(state, t, new=t is None)
    finally:
        thread.stop()


class _Stop(BaseException):
    """Ends a sampler whose answers nobody waits for any more."""


class _Thread:
    """A generator that calls a denoiser, and stands still in every call.

    It and whoever resumes it take turns, so nothing ever happens at once.
    """

    def __init__(self, sampler: Any, x: Tensor, context: Any) -> None:
        import torch

        self.time_conditioned = context.time_conditioned
        self._grad = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        self._mine, self._other = threading.Semaphore(0), threading.Semaphore(0)
        self._asked: tuple[Tensor, Tensor | None] | None = None
        self._answer: Tensor | None = None
        self._error: BaseException | None = None
        self._stopped = False
        self._run: Callable[[], Iterator[Tensor]] = lambda: sampler.sample(self, x, context)
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """The denoiser that the sampler sees."""
        self._hand_over((x, t))
        answer, self._answer = self._answer, None
        assert answer is not None
        return answer

    def resume(self, answer: Tensor | None) -> tuple[Tensor, Tensor | None] | None:
        """The next question or state; None at the end; or what the sampler raises."""
        self._answer = answer
        if self._thread.ident is None:
            self._thread.start()
        self._mine.release()
        self._other.acquire()
        if self._error is not None:
            raise self._error
        return self._asked

    def stop(self) -> None:
        """End the sampler, wherever it stands."""
        self._stopped = True
        if self._thread.ident is not None:
            self._mine.release()
            self._thread.join()

    def _hand_over(self, asked: tuple[Tensor, Tensor | None]) -> None:
        self._asked = asked
        self._other.release()
        self._mine.acquire()
        if self._stopped:
            raise _Stop

    def _work(self) -> None:
        import torch

        self._mine.acquire()
        grad, inference = self._grad
        try:
            with torch.inference_mode(mode=inference), torch.set_grad_enabled(grad):
                for state in self._run():
                    self._hand_over((state, None))
        except _Stop:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            self._error = error
        self._asked = None
        self._other.release()
