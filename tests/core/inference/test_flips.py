"""How often predictions change on the way, counted while texts are written."""

import pytest
import torch

from aios_core.errors import InferenceError
from aios_core.inference.flips import FlipCounter

MASK = 3


class Scripted:
    """A denoiser whose likeliest tokens are given beforehand, call by call."""

    time_conditioned = False

    def __init__(self, *answers):
        self.answers = iter(answers)

    def __call__(self, x, t):
        return torch.nn.functional.one_hot(torch.tensor([next(self.answers)]), 4).float().log()


def test_changes_are_counted_while_a_token_is_masked():
    counter = FlipCounter(Scripted([0, 0, 1], [1, 0, 0], [0, 0, 2], [2, 2, 2]), MASK)
    for x in ([3, 3, 3], [3, 3, 3], [3, 3, 1], [0, 3, 3]):
        counter(torch.tensor([x]), torch.ones(1))

    # The third is written, masked again, and then another one than before it was written.
    assert [[2, 1, 2]] == counter.flips.tolist()


def test_parts_are_counted_where_they_stand():
    counter = FlipCounter(Scripted([0, 0, 0], [1, 1, 1], [2, 2, 2]), MASK)
    x, t = torch.full((1, 3), MASK), torch.ones(1)
    counter.part(x, t, 0, 2)
    counter.part(x, t, 1, 3)
    counter.part(x, t, 2, 3)

    assert [[0, 1, 1]] == counter.flips.tolist()


@pytest.mark.parametrize("options", [{}, {"block_size": 4}, {"block_size": 4, "cache": "dual"}])
def test_counting_changes_no_text(engine, options):
    words = {"max_new_tokens": 12, "num_inference_steps": 8, "seed": 3, "ignore_eos": True}
    plain = engine.diffuse(["a bo", "milk, an"], **words, **options)
    counted = engine.diffuse(["a bo", "milk, an"], **words, **options, count_flips=True)

    assert plain.texts == counted.texts
    assert ((), ()) == plain.flips
    for row, given in zip(counted.flips, counted.given, strict=True):
        assert len(row) == len(given)
        assert not any(count for count, fixed in zip(row, given, strict=True) if fixed)
        assert all(0 <= count < counted.nfe for count in row)


def test_one_step_leaves_no_time_to_change(engine):
    output = engine.diffuse("milk", max_new_tokens=6, num_inference_steps=1, count_flips=True)

    assert 0 == sum(output.flips[0])


def test_only_diffusion_has_a_way(engine):
    with pytest.raises(InferenceError, match="count_flips"):
        engine.generate("milk", mode="ar", count_flips=True)
