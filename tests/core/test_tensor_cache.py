"""Functions of a tensor whose answers are cached."""

import gc

import pytest
import torch

from aios_core.tensor_cache import cached_by_tensor, count, differences, masks


@pytest.fixture
def asked():
    """A function of a tensor and a number, and the calls that it got."""
    calls = []

    @cached_by_tensor
    def total(tensor, more):
        calls.append(more)
        return int(tensor.sum()) + more

    return total, calls


def test_it_is_worked_out_once(asked):
    total, calls = asked
    x, y = torch.arange(4), torch.arange(4)
    assert [6, 6, 7, 6, 6] == [total(x, 0), total(x, 0), total(x, 1), total(y, 0), total(x, 0)]
    assert [0, 1, 0] == calls
    assert total.known(y, 5) is None


def test_a_changed_tensor_is_another(asked):
    total, calls = asked
    x = torch.arange(4)
    total(x, 0)
    x[0] = 9
    assert 15 == total(x, 0)
    assert [0, 0] == calls


def test_a_tensor_that_is_gone_is_not_kept(asked):
    total, calls = asked
    for start in range(20):  # at the same address, most of the time
        assert 4 * start + 6 == total(torch.arange(start, start + 4), 0)
        gc.collect(0)
    assert 20 == len(calls)


def test_what_is_put_is_known(asked):
    total, calls = asked
    x = torch.arange(4)
    total.put(100, x, 0)
    assert 100 == total(x, 0)
    assert not calls


def test_of_tensors_without_a_version_nothing_is_kept(asked):
    total, calls = asked
    with torch.inference_mode():
        x = torch.arange(4)
        total(x, 0)
        x += 1
        assert 10 == total(x, 0)
    assert [0, 0] == calls


def test_four_answers_are_kept_those_that_were_asked_for_last(asked):
    """And each is that of its own tensor and number."""
    total, calls = asked
    a, b, c, d, e = (torch.arange(n) for n in range(2, 7))
    for each in (a, b, c, d):
        total(each, 0)
    assert [1, 3, 6, 10] == [total.known(each, 0) for each in (a, b, c, d)]
    assert 1 == total(a, 0)
    assert 15 == total(e, 0)

    assert total.known(b, 0) is None
    assert [1, 6, 10, 15] == [total.known(each, 0) for each in (a, c, d, e)]
    assert [0] * 5 == calls


def test_answers_of_what_has_a_gradient_are_not_kept(asked):
    """Its graph would stay as long as the answer does."""
    total, calls = asked
    x = torch.arange(4.0, requires_grad=True)

    assert [6, 6] == [total(x, 0), total(x, 0)]
    assert [0, 0] == calls


def test_states():
    x = torch.tensor([[3, 0, 3], [1, 2, 3]])
    assert [[True, False, True], [False, False, True]] == masks(x, 3).tolist()
    assert masks(x, 3) is masks(x, 3)
    assert 3 == count(masks(x, 3))
    assert 2 == differences(x, torch.tensor([[3, 1, 3], [1, 1, 3]]))
