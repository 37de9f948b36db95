"""What a plugin returns while sampling is checked where it enters, and the message names it."""

import attrs
import pytest
import torch
from attrs import frozen
from torch import nn

from aios_core.component import blamed
from aios_core.contracts import (
    AdaptiveSampler,
    Backbone,
    Controls,
    Objective,
    ProjectionHead,
    Sampler,
    Spelling,
    StepSampler,
)
from aios_core.diffusion.constraints import TokenConstraint, lift
from aios_core.diffusion.core import DiffusionCore
from aios_core.diffusion.model import Model
from aios_core.diffusion.objective import training_loss
from aios_core.errors import InferenceError, PluginError
from aios_core.inference.autoregressive import InferenceCore
from aios_core.testing.oracle import Oracle
from aios_plugins._grammar.expression import parse
from aios_plugins._grammar.machine import compile_pattern
from aios_plugins.corruptions.absorbing import Absorbing
from aios_plugins.corruptions.uniform import Uniform
from aios_plugins.heads.text import Text
from aios_plugins.noise.loglinear import LogLinear
from aios_plugins.samplers.ancestral import Ancestral
from aios_plugins.samplers.confidence import Confidence
from aios_plugins.samplers.threshold import Threshold

from .conftest import VOCABULARY, streams, whole
from .test_soundness import plugged

MASK, LENGTH = 3, 5


@frozen
class Bent(StepSampler):
    """Ancestral, but for what functions make of the answer and of the state."""

    exact = "never"
    before: object = None
    after: object = None

    def step(self, x, t, s, log_probs, context):
        if self.before:
            log_probs = self.before(log_probs)
        new = Ancestral(steps=self.steps).step(x, t, s, log_probs, context)
        return self.after(new) if self.after else new


@frozen
class Given(Sampler):
    """Yields what it is given to yield, once it has asked."""

    exact = "never"
    states: object = ()
    asks: bool = True

    def denoise(self, x, context):
        if self.asks:
            yield x, torch.ones(len(x), dtype=torch.float64)
        yield from self.states(x)
        return x


@frozen
class Ends(Given):
    """Returns what it is given to return."""

    def denoise(self, x, context):
        yield x, torch.ones(len(x), dtype=torch.float64)
        return self.states


@frozen
class Loopless(Given):
    """Gives what is no generator."""

    def denoise(self, x, context):
        return self.states


def sampled(sampler, denoiser=None, **settings):
    """A run of a sampler that is a plugin's, with the last position fixed."""
    registry = plugged(aios_samplers=SAMPLERS)
    for name in SAMPLERS:
        registry.get("sampler", name).load()
    denoiser = denoiser or Oracle()
    x = torch.full((2, LENGTH), MASK)
    x[:, -1] = 1
    core = DiffusionCore(denoiser, sampler, LogLinear(), MASK, **settings)
    return core.sample(x, seeds=[0, 1]).ids


@frozen
class Chosen(AdaptiveSampler):
    """Chooses what a function says."""

    exact = "never"
    chosen: object = None

    def choose(self, masked, log_probs, context):
        return self.chosen(masked)


SAMPLERS = {each.__name__.lower(): each for each in (Bent, Given, Ends, Loopless, Chosen)}


def _in_place(log_probs):
    return log_probs.fill_(torch.nan)


def _at_the_end(x):
    new = x.clone()
    if not (new == MASK).any():
        new[:, -1] = 0
    return new


def _raises(x):
    raise KeyError("gone")


BREACHES = {
    "not numbers": (Bent(lambda p: p * torch.nan), "drew tokens from log-probabilities"),
    "in place": (Bent(_in_place), "drew tokens from log-probabilities"),
    "one of them": (
        Bent(lambda p: p.index_fill(-1, torch.tensor([1]), torch.nan)),
        "drew tokens from log-probabilities",
    ),
    "infinite": (Bent(lambda p: p + torch.inf), "drew tokens from log-probabilities"),
    "nothing possible": (Bent(lambda p: p - torch.inf), "drew tokens from log-probabilities"),
    "changes what is fixed": (Bent(after=_at_the_end), "changed row 0, position 4, which is fixed"),
    "no token": (Bent(after=lambda x: x + 90), r"gives token \d+ in row 0.*expected 0 to 3"),
    "negative token": (Bent(after=lambda x: x - 90), r"gives token -\d+ in row 0"),
    "raises": (Bent(after=_raises), "denoise raised KeyError: 'gone'"),
    "another batch": (Bent(after=lambda x: x[:1]), r"gives torch.int64 of shape \(1, 5\)"),
    "another length": (Bent(after=lambda x: x[:, 1:]), r"gives torch.int64 of shape \(2, 4\)"),
    "numbers": (Bent(after=lambda x: x.double()), "gives torch.float64"),
    "a state alone": (Given(lambda x: [x]), r"denoise yields Tensor; expected \(state, t\)"),
    "a list": (Given(lambda x: [(x.tolist(), None)]), "a step gives list; expected a Tensor"),
    "nothing": (Given(lambda x: [None]), "denoise yields None"),
    "a time that is none": (Given(lambda x: [(x, 0.5)]), "denoise yields float as times"),
    "unasked": (Given(lambda x: [(x.clone(), None)], asks=False), "before it asked"),
    "no iterator": (Given(lambda x: 3), "denoise raised TypeError"),
    "returns nothing": (Ends(), r"denoise returns tuple; expected the last state"),
    "no generator": (Loopless([]), r"denoise gives list; expected it to yield \(state, t\)"),
    "chooses numbers": (Chosen(lambda m: m.double()), "choose gives torch.float64"),
    "chooses a row": (Chosen(lambda m: m[:1]), r"choose gives torch.bool of shape \(1, 5\)"),
}


@pytest.mark.parametrize("what", BREACHES)
def test_a_breach_names_the_plugin(what):
    """Fault N17, Fault N4: shape, type, range, fixed positions, errors and draws of a sampler."""
    sampler, problem = BREACHES[what]
    with pytest.raises(PluginError, match=problem) as caught:
        sampled(sampler)
    name = type(sampler).__name__.lower()
    assert str(caught.value).startswith(f"sampler {name} of x-step 0.1")


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("settings", [{}, {"block_size": 2}, {"controls": Controls(top_k=2)}])
@pytest.mark.parametrize("bad", [torch.nan, -torch.inf])
def test_no_text_is_made_of_what_is_no_number(temperature, settings, bad):
    """Fault N4: at any temperature, block by block, and where filters come between."""
    with pytest.raises(PluginError, match="drew tokens from log-probabilities"):
        sampled(Bent(lambda p: p + bad), temperature=temperature, **settings)


class Broken:
    """An oracle whose answer is bent."""

    time_conditioned = False

    def __init__(self, bend):
        self.oracle, self.bend = Oracle(), bend

    def __call__(self, x, t):
        return self.bend(self.oracle(x, t))


@pytest.mark.parametrize(
    "sampler", [Ancestral(steps=2), Confidence(steps=2), Threshold(), Bent(steps=2)]
)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_the_network_is_named_for_what_it_answers(sampler, bad):
    """Fault N4: also where nothing is possible, of which a draw would be anything."""
    with pytest.raises(InferenceError, match="the network answered with"):
        sampled(sampler, Broken(lambda answer: answer + bad))


def test_an_answer_of_another_shape_is_refused():
    """Fault N17: of whatever is asked."""
    with pytest.raises(InferenceError, match="answered with shape"):
        sampled(Ancestral(steps=2), Broken(lambda answer: answer[:, 1:]))


def test_no_sampler_is_blamed_for_what_a_denoiser_raises():
    """Fault N17: though it asked."""
    with pytest.raises(ZeroDivisionError):
        sampled(Ancestral(steps=2), Broken(lambda answer: 1 / 0))


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_want_of_memory_is_no_breach(error):
    """Whoever runs the command tells what to make smaller."""

    def fail(x):
        raise error

    with pytest.raises(type(error)):
        sampled(Bent(after=fail))


def test_under_other_noise(small_model):
    """Fault N4: where every position is drawn anew."""
    model = small_model(corruption=Uniform())

    @frozen
    class Renewing(Bent):
        absorbing_only = False

        def step(self, x, t, s, log_probs, context):
            return Ancestral(steps=self.steps).step(x, t, s, log_probs * torch.nan, context)

    core = DiffusionCore(model, Renewing(steps=3), LogLinear(), MASK)
    with pytest.raises(PluginError, match="drew tokens"):
        core.sample(torch.full((1, 4), MASK), seeds=[0])


@frozen
class Net(Backbone):
    """A backbone, but for what a function makes of its answer."""

    bend: object = None
    dim = 8
    time_conditioned = False

    def build(self, *, causal=False):
        return Bending(self.bend)


class Bending(nn.Module):
    def __init__(self, bend):
        super().__init__()
        self.bend = bend

    def forward(self, h, t, condition):
        return self.bend(h)


@frozen
class Head(ProjectionHead):
    """The head of texts, but for what functions make of its answers."""

    encoded: object = None
    decoded: object = None

    def build(self, dim, space):
        module = Text().build(dim, space)
        for name, bend in (("encode", self.encoded), ("decode", self.decoded)):
            if bend:
                inner = getattr(module, name)
                setattr(module, name, lambda x, inner=inner, bend=bend: bend(inner(x)))
        return module


def keep(h):
    return h


PARTS = {
    "states of another width": (Head(), Net(lambda h: h[..., 1:]), "Net gives states of shape"),
    "states of other rows": (Head(), Net(lambda h: h[:1]), "Net gives states of shape"),
    "raising": (Head(), Net(_raises), "Net: forward raised KeyError"),
    "encoded": (Head(encoded=lambda h: h[:, 1:]), Net(keep), "Head encodes tokens of shape"),
    "decoded": (Head(decoded=lambda h: h[..., 1:]), Net(keep), "Head decodes states of shape"),
}


@pytest.mark.parametrize("mode", ["diffusion", "ar"])
@pytest.mark.parametrize("what", PARTS)
def test_a_network_names_its_parts(what, mode):
    """Fault N17: shapes of heads and backbones, when they are trained and when they write."""
    head, backbone, problem = PARTS[what]
    model = Model(head, backbone, LogLinear(), Absorbing(), VOCABULARY, mode=mode, length=4)
    x = torch.arange(8).reshape(2, 4) % 3
    if mode == "ar":
        steps = InferenceCore(model).stream([[1], [2]], seeds=[0, 1], max_new_tokens=[2, 2])
    else:
        core = DiffusionCore(model, Ancestral(steps=2), LogLinear(), MASK)
        steps = core.stream(torch.full((2, 4), MASK), seeds=[0, 1])
    with pytest.raises(PluginError, match=problem):
        list(steps)
    if mode == "diffusion":
        from aios_plugins.objectives.nelbo import Nelbo

        times = torch.full((2, 1), 0.9, dtype=torch.float64)
        with pytest.raises(PluginError, match=problem):
            training_loss(model, whole(x), times, streams(x), objective=Nelbo())


def test_a_constraint_does_not_hide_it():
    """Fault N4: nor do draws that are made together."""
    oracle, automaton = Oracle(), compile_pattern(parse("[ab]*"))
    constraint = TokenConstraint(
        lift(automaton, Spelling.plain([b"a", b"b", b"c", b""]), eos_id=None)
    )
    x = torch.full((1, LENGTH), MASK)
    denoiser, draws = constraint.begin(oracle, torch.ones_like(x, dtype=torch.bool), MASK)
    core = DiffusionCore(denoiser, Bent(lambda p: p * torch.nan), LogLinear(), MASK)
    with pytest.raises(PluginError, match="drew tokens"):
        list(core.stream(x, seeds=[0], draws=draws))


@pytest.mark.parametrize("bad", [torch.nan, -torch.inf])
def test_from_left_to_right(small_model, bad):
    """Fault N4: what a constraint makes of the network's answer is looked at as well."""
    core = InferenceCore(small_model("ar"))
    steps = core.stream(
        [[1]], seeds=[0], max_new_tokens=[3], restrict=lambda log_probs, _: log_probs + bad
    )
    with pytest.raises(InferenceError, match="a constraint or a filter"):
        list(steps)


def test_an_objective_is_held_to_its_contract(small_model):
    """Fault N17: the shape of losses, and what it raises."""

    @frozen
    class Losses(Objective):
        bend: object = None
        drawn: object = None

        def draw(self, *given):
            noisy = super().draw(*given)
            return self.drawn(noisy) if self.drawn else noisy

        def score(self, noisy, prediction, context):
            return self.bend(torch.zeros(len(noisy.x0)))

    model, x = small_model(), torch.zeros(2, 4, dtype=torch.int64)
    given = model, whole(x), torch.ones(2, 1).double(), streams(x)
    for bend, problem in (
        (lambda nats: nats[:1], r"Losses gives losses of torch.float32 and shape \(1,\)"),
        (lambda nats: nats.long(), "Losses gives losses of torch.int64"),
        (_raises, "Losses: score raised KeyError"),
    ):
        with pytest.raises(PluginError, match=problem):
            training_loss(*given, objective=Losses(bend))
    for drawn, problem in (
        (lambda noisy: noisy.z, "Losses draws Tensor; expected Noisy"),
        (lambda noisy: attrs.evolve(noisy, z=noisy.z[:, 1:]), r"Losses draws .* of shape \(2, 3\)"),
        (lambda noisy: attrs.evolve(noisy, z=noisy.z.int()), "Losses draws torch.int32"),
        (lambda noisy: attrs.evolve(noisy, times=noisy.times[0]), r"times of shape \(1,\)"),
        (_raises, "Losses: draw raised KeyError"),
    ):
        with pytest.raises(PluginError, match=problem):
            training_loss(*given, objective=Losses(drawn=drawn))


def test_what_is_right_passes(small_model):
    """And what a block of our own raises stays what it is."""
    assert not (sampled(Bent(steps=3)) == MASK).any()
    with pytest.raises(InferenceError, match="mine"), blamed(Bent(), "step"):
        raise InferenceError("mine")
    assert attrs.evolve(Bent(), steps=2).steps == 2


def test_a_single_position_that_is_no_number_is_told_by_its_row():
    """Fault N4: one of ten, in the second row, in the first call."""

    def bend(answer):
        answer[1, 2] = torch.nan
        return answer

    with pytest.raises(InferenceError, match=r"NaN in call 1 \(rows \[1\]\)"):
        sampled(Ancestral(steps=2), Broken(bend))
