"""Plugins in the form of version 0.1, which are served with a warning."""

import re
import threading
from inspect import signature

import pytest
import torch
from attrs import evolve, frozen

from aios_core.config import resolve
from aios_core.contracts import AdaptiveSampler, Objective, Sampler, SamplingContext, Sequences
from aios_core.contracts.former import OBJECTIVE
from aios_core.diffusion.core import DiffusionCore
from aios_core.diffusion.model import Model
from aios_core.diffusion.objective import nelbo, training_loss
from aios_core.diffusion.random import RowRandom
from aios_core.errors import PluginError
from aios_core.registry import Registry
from aios_core.testing.contracts.sampler import Linear
from aios_core.testing.oracle import Oracle
from aios_plugins.objectives.nelbo import Nelbo
from aios_plugins.samplers.credit import Credit
from aios_plugins.samplers.first_hitting import FirstHitting
from aios_plugins.samplers.threshold import Threshold

NEW_SCORE = pytest.warns(DeprecationWarning, match="def score\\(self, noisy, prediction, context")
NEW_FORM = pytest.warns(DeprecationWarning, match="log_probs = yield x, t ")


@frozen
class FormerHitting(Sampler):
    """`FirstHitting` as it was written."""

    exact = "always"

    def sample(self, denoiser, x, context: SamplingContext):
        rate = context.noise.mask_rate(torch.ones(len(x), dtype=torch.float64))
        for _ in range(int(context.masked(x).sum(-1).max())):
            masked = context.masked(x)
            rate = rate * context.uniform()[:, 0] ** (1 / masked.sum(-1).double())
            t = context.noise.inverse(1 - rate)
            chosen = context.uniform().masked_fill(~masked, -1).argmax(-1, keepdim=True)
            fill = torch.zeros_like(masked).scatter_(-1, chosen, value=True) & masked
            x = torch.where(fill, context.categorical(denoiser(x, t), fill), x)
            yield x


@frozen
class FormerWrapper(AdaptiveSampler):
    """A sampler with a loop from the core, which it runs on another denoiser."""

    exact = "never"
    inner: object = Threshold(tau=0.5)

    def choose(self, masked, log_probs, context):
        return self.inner.choose(masked, log_probs, context)

    def sample(self, denoiser, x, context):
        yield from super().sample(Sharper(denoiser), x, context)


class Sharper:
    time_conditioned = True

    def __init__(self, denoiser):
        self.denoiser = denoiser

    def __call__(self, x, t):
        return (2 * self.denoiser(x, t)).log_softmax(-1)


@frozen
class Sharp(AdaptiveSampler):
    """The same in the new form."""

    exact = "never"

    def choose(self, masked, log_probs, context):
        return Threshold(tau=0.5).choose(masked, log_probs, context)

    def denoise(self, x, context):
        run, sent = super().denoise(x, evolve(context, time_conditioned=True)), None
        while True:
            try:
                state, t = run.send(sent)
            except StopIteration as end:
                return end.value
            sent = yield state, t
            sent = None if t is None else (2 * sent).log_softmax(-1)


def visited(sampler, **settings):
    """All that is said of every state."""
    oracle = Oracle(time_conditioned=True)
    core = DiffusionCore(oracle, sampler, Linear(), oracle.mask_id, **settings)
    x = oracle.prior(6)
    x[1, 2] = 1
    return list(core.stream(x, seeds=range(6)))


@pytest.mark.parametrize(
    ("old", "new"), [(FormerHitting(), FirstHitting()), (FormerWrapper(), Sharp())]
)
@pytest.mark.parametrize("settings", [{}, {"block_size": 2}, {"temperature": 0}])
def test_a_sampler_in_the_old_form_does_what_it_did(old, new, settings):
    expected = visited(new, **settings)
    with NEW_FORM:
        result = visited(old, **settings)

    assert len(expected) == len(result)
    for each, other in zip(expected, result, strict=True):
        assert (each.step, each.nfe) == (other.step, other.nfe)
        for name in ("ids", "committed", "confidence", "committed_at", "entropy"):
            assert torch.equal(getattr(each, name), getattr(other, name)), name


def test_the_warning_names_the_class():
    with pytest.warns(DeprecationWarning, match="FormerHitting writes sample"):
        visited(FormerHitting())


def test_what_an_old_sampler_raises_is_its_fault_and_what_the_network_raises_is_not():
    @frozen
    class Failing(Sampler):
        exact = "never"

        def sample(self, denoiser, x, context):
            denoiser(x, torch.ones(len(x)).double())
            raise KeyError("gone")
            yield

    class Broken(Oracle):
        def __call__(self, x, t):
            raise ZeroDivisionError

    with NEW_FORM, pytest.raises(PluginError, match="raised KeyError: 'gone'"):
        visited(Failing())
    oracle = Broken()
    core = DiffusionCore(oracle, FormerHitting(), Linear(), oracle.mask_id)
    with NEW_FORM, pytest.raises(ZeroDivisionError):
        core.sample(oracle.prior(2), seeds=range(2))


def test_one_that_is_left_leaves_no_thread():
    oracle, before = Oracle(), threading.active_count()
    core = DiffusionCore(oracle, FormerHitting(), Linear(), oracle.mask_id)
    states = core.stream(oracle.prior(2), seeds=range(2))
    with NEW_FORM:
        next(states), next(states)
    assert before + 1 == threading.active_count()
    states.close()
    assert before == threading.active_count()


def test_the_modes_of_torch_are_those_of_the_caller():
    seen = []

    @frozen
    class Looking(Sampler):
        exact = "never"

        def sample(self, denoiser, x, context):
            seen.append((torch.is_grad_enabled(), torch.is_inference_mode_enabled()))
            yield from FirstHitting().sample(denoiser, x, context)

    with NEW_FORM:
        visited(Looking())
    with NEW_FORM, torch.inference_mode():
        visited(Looking())
    assert [(False, False), (False, True)] == seen


def test_those_of_the_new_form_are_not_warned_of():
    """The plugins of the project among them: warnings are errors here."""
    for component in Registry.discover().components("sampler"):
        assert "sample" not in vars(component.load())
    visited(Credit())


def test_a_class_that_writes_both_is_of_the_new_form():
    @frozen
    class Both(FirstHitting):
        def sample(self, denoiser, x, context):
            raise AssertionError("not called")

        def denoise(self, x, context):
            return super().denoise(x, context)

    visited(Both())


def test_a_class_that_writes_neither_is_refused():
    assert {"denoise"} == Sampler.__abstractmethods__
    with pytest.raises(TypeError, match="denoise"):
        type("Neither", (Sampler,), {})()


@frozen
class FormerHalf(Objective):
    """An objective as it was written, with noise that does not follow from the generator."""

    bound = False

    def losses(self, model, x0, valid, times, generator):
        texts = Sequences(x0, valid)
        return times.mean(-1) ** 0.5 * nelbo(model, texts, times, streams(x0))


@frozen
class Half(Nelbo):
    """The same in the new form."""

    bound = False

    def score(self, noisy, prediction, context):
        return noisy.times.mean(-1) ** 0.5 * super().score(noisy, prediction, context)


def streams(x0):
    return RowRandom.numbered(1, range(len(x0)), x0.shape[1])


def loss(objective, *, given=0):
    """A loss, and the gradient of a parameter, of texts that begin with given tokens."""
    oracle = Oracle(length=3)
    config = resolve(
        {"backbone": {"dim": 8, "layers": 1, "heads": 2}, "diffusion": {"length": 3}}
    ).config
    model = Model.build(config, oracle.vocabulary)
    x0, times = oracle.draw(8), torch.linspace(0.1, 1, 8).double()[:, None]
    targets = torch.ones_like(x0).bool()
    targets[:, :given] = False
    texts = Sequences(x0, torch.ones_like(targets), targets)
    value = training_loss(model, texts, times, streams(x0), objective=objective)
    value.backward()
    return value.detach(), model.head.embedding.weight.grad


def test_an_objective_in_the_old_form_does_what_it_did():
    with NEW_SCORE:
        old = loss(FormerHalf())

    for each, other in zip(old, loss(Half()), strict=True):
        assert torch.equal(each, other)


def test_an_objective_in_the_old_form_is_not_asked_for_what_is_given():
    """It would noise the given tokens and count them, and nobody would see it."""
    with NEW_SCORE, pytest.raises(PluginError, match="cannot keep given tokens clean"):
        loss(FormerHalf(), given=1)


def test_an_old_objective_draws_by_the_seed():
    """Its generator follows from the streams of the rows."""
    seen = []

    @frozen
    class Drawing(Objective):
        def losses(self, model, x0, valid, times, generator):
            seen.append(torch.rand(2, generator=generator).tolist())
            return nelbo(model, Sequences(x0, valid), times, streams(x0))

    for _ in range(2):
        with NEW_SCORE:
            loss(Drawing())
    assert seen[0] == seen[1]


def test_the_new_form_that_is_shown_is_the_contract():
    """What an author copies runs."""
    shown = set(re.findall(r"def (\w+)\((.*)\)", OBJECTIVE))
    for name, parameters in shown:
        assert parameters.split(", ") == [*signature(getattr(Objective, name)).parameters]
    assert {"draw", "score"} == {name for name, _ in shown}


def test_what_an_old_objective_raises_is_its_fault():
    @frozen
    class Failing(Objective):
        def losses(self, model, x0, valid, times, generator):
            raise KeyError("gone")

    with NEW_SCORE, pytest.raises(PluginError, match="losses raised KeyError: 'gone'"):
        loss(Failing())


def test_an_objective_that_writes_neither_is_refused():
    assert {"score"} == Objective.__abstractmethods__
    with pytest.raises(TypeError, match="score"):
        type("Neither", (Objective,), {})()
