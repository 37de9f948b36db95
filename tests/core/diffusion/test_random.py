"""Random numbers of samplers."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aios_core.diffusion import chunking
from aios_core.diffusion.random import _GOLDEN, RowRandom, draw, splitmix64


def test_splitmix64_gives_the_known_numbers():
    """Of the reference implementation, for seed 1234567."""
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    numbers = splitmix64(torch.tensor(1234567) + torch.arange(1, 4) * _GOLDEN)
    assert expected == [number % 2**64 for number in numbers.tolist()]


def test_uniforms_are_uniform_and_independent():
    """Within a row, between rows of neighbouring seeds, and between draws."""
    random = RowRandom(range(2000), 50)
    draws = torch.stack([random.uniform() for _ in range(3)])
    assert ((draws >= 0) & (draws < 1)).all()
    counts = torch.histc(draws, bins=100, min=0, max=1)
    chi2 = float(((counts - 3000) ** 2 / 3000).sum())
    assert abs(chi2 - 99) < 4 * math.sqrt(2 * 99)
    for a, b in (
        (draws[:, :, :-1], draws[:, :, 1:]),
        (draws[:, :-1], draws[:, 1:]),
        (draws[:-1], draws[1:]),
    ):
        correlation = torch.corrcoef(torch.stack((a.flatten(), b.flatten())))[0, 1]
        assert abs(correlation) < 4 / math.sqrt(a.numel())


@settings(deadline=None)
@given(st.lists(st.integers(-(2**70), 2**70), min_size=1, max_size=5), st.integers(1, 9))
def test_row_depends_on_its_seed_alone(seeds, length):
    """T16: not on batch mates, and not on padding."""
    together, wide = RowRandom(seeds, length), RowRandom(seeds, length + 7)
    alone = [RowRandom([seed], length) for seed in seeds]
    for _ in range(3):
        u = together.uniform()
        assert torch.equal(u, wide.uniform()[:, :length])
        assert torch.equal(u, torch.cat([row.uniform() for row in alone]))


@pytest.mark.parametrize("rows", [1, 8, 64])
def test_what_is_not_drawn_at_temperature_0_moves_the_streams_all_the_same(rows):
    """T16: the uniforms behind it are those at temperature 1, alone and in any batch."""
    shape = (rows, 128)
    whole = RowRandom([7], 128)
    draws = [whole.uniform() for _ in range(150)]
    random = RowRandom([7] * rows, 128)
    for step in range(50):
        assert torch.equal(draws[3 * step], random.uniform()[-1:])
        random.categorical(torch.zeros(*shape, 2), torch.ones(shape).bool(), 0, 2)


def test_categorical_follows_the_probabilities():
    """Also rare ones; and a token without probability never comes."""
    p = torch.tensor([0.0, 0.7, 1e-3, 0.0, 0.299, 0.0], dtype=torch.float64)
    rows = 20_000
    drawn = RowRandom(range(rows), 5).categorical(
        p.log().expand(rows, 5, 6), torch.ones(rows, 5).bool(), 1.0, 5
    )
    result = torch.bincount(drawn.flatten(), minlength=6) / drawn.numel()
    assert (result[p == 0] == 0).all()
    assert ((result - p).abs() <= 4 * (p * (1 - p) / drawn.numel()).sqrt()).all()


def test_categorical_obeys_the_temperature():
    p = torch.tensor([0.2, 0.8, 0.0], dtype=torch.float64)
    where = torch.ones(4000, 1).bool()
    for temperature, expected in ((0.5, 16 / 17), (1.0, 0.8), (2.0, 2 / 3), (0.0, 1.0)):
        drawn = RowRandom(range(4000), 1).categorical(
            p.log().expand(4000, 1, 3), where, temperature, 2
        )
        assert pytest.approx(expected, abs=0.03) == float(drawn.double().mean())


def test_categorical_answers_only_where_asked():
    where = torch.tensor([[True, False, True], [False, False, False]])
    drawn = RowRandom([0, 1], 3).categorical(torch.zeros(2, 3, 4).log_softmax(-1), where, 1.0, 9)
    assert torch.equal(where, drawn != 9)


class Last(RowRandom):
    """The largest uniform that there is."""

    def uniform(self):
        return torch.full((1, 1), 1 - 2**-53, dtype=torch.float64)


def test_rare_tokens_can_be_drawn():
    """T7: probability 1e-9 is reached in float64; in float32 its place in the sum is lost."""
    log_probs = torch.tensor([[[1 - 1e-9, 1e-9, 0.0]]], dtype=torch.float64).log()
    where = torch.ones(1, 1).bool()
    assert 1 == Last([0], 1).categorical(log_probs, where, 1.0, 2).item()
    p = torch.tensor([1 - 1e-9, 1e-9], dtype=torch.float32)
    assert p.cumsum(0)[0] == p.cumsum(0)[1], "float32 would never draw it"


@pytest.mark.parametrize(("u", "expected"), [(0.0, 1), (1 - 2**-53, 2)])
def test_both_ends_of_the_uniform_are_tokens(monkeypatch, u, expected):
    """T11: an inverse distribution function has no logarithm that needs a 1e-10 on either side."""
    monkeypatch.setattr(Last, "uniform", lambda _: torch.full((1, 1), u, dtype=torch.float64))
    log_probs = torch.tensor([[[0.0, 0.5, 0.5, 0.0]]], dtype=torch.float64).log()
    drawn = Last([0], 1).categorical(log_probs, torch.ones(1, 1).bool(), 1.0, 3)
    assert expected == drawn.item()


def test_gumbel_in_float32_loses_what_float64_keeps():
    """T7: why there is no Gumbel-max over tokens and mask: float32 noise ends at 16.6."""
    for dtype, expected in ((torch.float32, "mask"), (torch.float64, "token")):
        unit = torch.tensor(1.0, dtype=dtype)
        u = torch.stack((torch.nextafter(unit, 0 * unit), torch.exp(-unit)))
        gumbel = -torch.log(-torch.log(u))
        score = torch.tensor([1e-9, 1 - 1e-9], dtype=dtype).log() + gumbel
        assert expected == ("token", "mask")[int(score.argmax())]


def test_entropy_of_long_tails_survives():
    """T7: half of the probability on 10^5 tokens of 5e-6 each is drawn half of the time."""
    p = torch.cat((torch.tensor([0.5]), torch.full((100_000,), 5e-6))).double()
    log_probs = p.log().expand(10, 20, -1)
    drawn = RowRandom(range(10), 20).categorical(log_probs, torch.ones(10, 20).bool(), 1.0, 0)
    assert abs(float((drawn == 0).double().mean()) - 0.5) < 4 * math.sqrt(0.25 / 200)
    assert 90 < len(drawn[drawn > 0].unique())


def test_forks_are_streams_of_their_own():
    """Each number another stream, the same whatever was drawn before."""
    random = RowRandom(range(2000), 20)
    before = [random.fork(number).uniform() for number in (0, 1)]
    draws = [random.uniform() for _ in range(2)]
    assert torch.equal(before[1], random.fork(1).uniform())
    assert torch.equal(before[1][7:8], RowRandom([7], 20).fork(1).uniform())
    for a, b in ((before[0], before[1]), (before[0], draws[0]), (before[1], draws[1])):
        correlation = torch.corrcoef(torch.stack((a.flatten(), b.flatten())))[0, 1]
        assert abs(correlation) < 4 / math.sqrt(a.numel())


def test_windows_draw_what_the_whole_draws():
    """Also tokens, and a piece at a time."""
    where = torch.tensor([[True, True, False, True], [True, False, True, True]])
    log_probs = torch.randn(2, 4, 9, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    whole = RowRandom([3, 4], 4).fork(1)
    part = RowRandom([3, 4], 4).fork(1).window(1, 3)
    assert torch.equal(whole.uniform()[:, 1:3], part.uniform())
    drawn = whole.categorical(log_probs, where, 1.0, 9)
    assert torch.equal(drawn[:, 1:3], part.categorical(log_probs[:, 1:3], where[:, 1:3], 1.0, 9))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_pieces_change_no_draw(monkeypatch, temperature):
    log_probs = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    where = torch.ones(3, 5).bool()
    ends = []
    for entries in (1, 20, 2**22):
        monkeypatch.setattr(chunking, "_ENTRIES", entries)
        ends.append(RowRandom(range(3), 5).categorical(log_probs, where, temperature, 7))
    assert torch.equal(ends[0], ends[2])
    assert torch.equal(ends[1], ends[2])


def test_draws_in_two_levels_follow_the_softmax():
    """From float32 within 1e-6 of what float64 says, runs and tokens on grids of uniforms."""
    log_weights = 3 * torch.randn(1, 12, generator=torch.Generator().manual_seed(0))
    grid = (torch.arange(200_000).double() + 0.5) / 200_000
    rows, result = log_weights.expand(len(grid), -1), torch.zeros(12).double()
    first = draw(rows, [grid, torch.zeros_like(grid)], 1.0) // 4
    for run, share in enumerate(torch.bincount(first, minlength=3) / len(grid)):
        inside = torch.full_like(grid, float(grid[first == run].median()))
        result += share * torch.bincount(draw(rows, [inside, grid], 1.0), minlength=12) / len(grid)
    expected = log_weights[0].double().softmax(-1)
    torch.testing.assert_close(result, expected, atol=1e-6 + 1 / len(grid), rtol=0)


@pytest.mark.parametrize("rare", [1, 2])
def test_rare_tokens_of_single_precision_can_be_drawn(rare):
    """T7: 1e-9 is reached in a run with the likeliest token and in another one."""
    p = torch.tensor([1.0, 0.0, 0.0, 0.0])
    p[rare] = 1e-9
    last = torch.tensor([1 - 2**-53], dtype=torch.float64)
    assert [rare] == draw(p.log()[None], [last, last], 1.0).tolist()


def test_a_bonus_in_a_run_of_its_own_follows_the_softmax():
    """What is added to a token's weight, in every piece and at some places, tempered too."""
    log_weights = 3 * torch.randn(2, 12, generator=torch.Generator().manual_seed(0))
    at = torch.tensor([1]).repeat(200_000)
    grid = (torch.arange(len(at)).double() + 0.5) / len(at)
    token, gain = torch.full_like(at, 4), torch.full_like(grid, 3.5)
    for temperature in (1.0, 0.7):
        drawn = draw(log_weights, [grid, 0 * grid], temperature, at, (token, gain))
        raised = log_weights[1].double().index_add(0, token[:1], gain[:1].log1p())
        expected = (raised / temperature).softmax(-1)
        result = torch.bincount(drawn, minlength=12) / len(at)
        torch.testing.assert_close(
            expected.view(3, 4).sum(-1)[[0, 2]], result.double().view(3, 4).sum(-1)[[0, 2]],
            atol=1e-5, rtol=0,
        )  # fmt: skip
    assert [4] == draw(log_weights, [], 0, at[:1], (token[:1], 1e30 * gain[:1])).tolist()
    assert [int(log_weights[1].argmax())] == draw(log_weights, [], 0, at[:1]).tolist()


def test_channels_are_numbers_of_their_own():
    """M22: of (row, position, channel) alone; one draw, whatever their number."""
    random = RowRandom(range(3), 5)
    few, wide = RowRandom(range(3), 5).uniform(4), random.uniform(7)
    assert ((3, 5, 7), torch.float64) == (tuple(wide.shape), wide.dtype)
    assert torch.equal(few, wide[..., :4])
    assert torch.equal(RowRandom([1], 5).uniform(7)[0], wide[1])
    assert 3 * 5 * 7 == len(wide.unique())
    assert torch.equal(wide[:, 2:4], RowRandom(range(3), 5).window(2, 4).uniform(7))
    after = RowRandom(range(3), 5)
    after.uniform()
    assert torch.equal(after.uniform(), random.uniform())
    assert not torch.equal(RowRandom(range(3), 5).fork(1).uniform(7), wide)


def test_channels_are_spread_evenly_and_do_not_go_together():
    numbers = RowRandom(range(200), 20).uniform(4).flatten(0, 1)
    assert abs(float(numbers.mean()) - 0.5) < 0.01
    assert (torch.corrcoef(numbers.T) - torch.eye(4)).abs().max() < 0.06
