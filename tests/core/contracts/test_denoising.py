"""Samplers as coroutines: who answers them, one or many at once."""

from weakref import ref

import pytest
import torch
from attrs import frozen

from aios_core.contracts import Question, Sampler
from aios_core.contracts.denoising import rephrased, states, together
from aios_core.registry import Registry
from aios_core.testing.conformance import tokens
from aios_core.testing.contracts.sampler import context, run
from aios_core.testing.oracle import Oracle
from aios_plugins.samplers.ancestral import Ancestral
from aios_plugins.samplers.confidence import Confidence
from aios_plugins.samplers.first_hitting import FirstHitting

NAMES = list(tokens("sampler"))


def begun(sampler, x, seeds, oracle):
    return sampler.denoise(x, context(oracle, x, seeds))


@pytest.mark.parametrize("others", [["ancestral"], ["first-hitting", "threshold"], NAMES])
def test_many_at_once_end_as_each_alone(others):
    """And cost as many calls as the longest of them."""
    registry, oracle = Registry.discover(), Oracle(time_conditioned=True)
    samplers = {name: registry.get("sampler", name).load()() for name in others}
    x, calls = oracle.prior(3), []

    def answer(questions):
        calls.append(list(questions))
        asked = [(question.state, question.t) for question in questions.values()]
        rows = oracle(*(torch.cat(parts) for parts in zip(*asked, strict=True)))
        return dict(zip(questions, rows.split(len(x)), strict=True))

    runs = {name: begun(sampler, x, range(3), oracle) for name, sampler in samplers.items()}
    ends = together(runs, answer)

    alone = {}
    for name, sampler in samplers.items():
        oracle.nfe = 0
        assert torch.equal(run(sampler, oracle, x, range(3))[-1], ends[name]), name
        alone[name] = oracle.nfe
    assert {name: sum(name in call for call in calls) for name in samplers} == alone
    assert max(alone.values()) == len(calls)


@frozen
class Heun(Sampler):
    """Asks about a point on the way to each state."""

    exact = "never"

    def denoise(self, x, context):
        ahead = context.categorical((yield x, torch.ones(len(x)).double()), context.masked(x))
        log_probs = yield Question(ahead, torch.zeros(len(x)).double(), new=False)
        middle = x.clone()
        middle[:, 0] = ahead[:, 0]
        yield middle, None
        return context.categorical(log_probs, context.masked(x))


def test_a_point_on_the_way_is_no_state():
    oracle = Oracle()
    visited = run(Heun(), oracle, oracle.prior(4), range(4))

    assert 2 == len(visited)
    assert 2 == oracle.nfe
    assert (visited[0][:, 1:] == oracle.mask_id).all()


def test_a_state_is_given_before_it_is_asked_about():
    oracle = Oracle(time_conditioned=True)
    x = oracle.prior(2)
    run = begun(Ancestral(steps=3), x, range(2), oracle)

    assert [1, 2, 3] == [oracle.nfe for _ in states(run, x, oracle)]


def test_an_answer_is_let_go_before_the_next_is_made():
    """Each is the largest tensor there is."""
    oracle, alive = Oracle(time_conditioned=True), []

    class Watching:
        time_conditioned = True

        def __call__(self, x, t):
            alive.append(sum(reference() is not None for reference in kept))
            answer = oracle(x, t)
            kept.append(ref(answer))
            return answer

    for wrap in (lambda run: run, lambda run: rephrased(run, answer=lambda p: p)):
        for sampler in (Ancestral(steps=4), FirstHitting(), Confidence(steps=4)):
            kept, x = [], oracle.prior(2)
            for _ in states(wrap(begun(sampler, x, range(2), oracle)), x, Watching()):
                pass
            assert len(kept) > 2

    assert {0} == set(alive)


@pytest.mark.parametrize("wrong", [3, None, (1,), (None, None), ("x", None)])
def test_what_is_no_question_is_refused(wrong):
    def denoise():
        yield wrong

    x = torch.zeros(1, 1).long()
    problem = "(denoise yields|a step gives) .*; expected"
    with pytest.raises(TypeError, match=problem):
        list(states(denoise(), x, Oracle()))
    with pytest.raises(TypeError, match=problem):
        together({"a": denoise()}, dict)


def test_runs_are_closed_when_one_fails():
    closed = []

    def denoise(x):
        try:
            yield x, torch.ones(1)
        finally:
            closed.append(True)

    def answer(questions):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        together({n: denoise(torch.zeros(1, 1).long()) for n in range(3)}, answer)
    assert 3 == len(closed)
