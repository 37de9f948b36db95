"""Calibrating: which texts are read under which seeds, and what the error of a text is."""

import pytest
import torch

from aios_core.experiment import uncertainty


def test_no_two_batches_and_no_two_halves_are_hidden_alike(monkeypatch):
    """Every batch of 32 texts has a seed of its own, and each text is read once."""
    seen, counted = [], []
    monkeypatch.setattr(uncertainty, "read", lambda _, rows, __, *, seed: seen.append((seed, rows)))
    ids = torch.arange(70)[:, None]
    for seed in (0, 1, 2):
        list(uncertainty._levels(None, ids, seed=seed, told=counted.append))
    seeds = [seed for seed, _ in seen]

    assert [0, 1, 2, 100_003, 100_004, 100_005, 200_006, 200_007, 200_008] == seeds
    assert [32, 32, 6] * 3 == counted
    assert ids.equal(torch.cat([rows for _, rows in seen[:3]]))


def test_an_error_is_the_mean_bound_of_a_token_on_noise_of_its_own(monkeypatch):
    """Over all draws, each of other times; nats a token of each text."""
    asked = []

    def nelbo(_, ids, valid, times, generator):
        asked.append((ids.shape, bool(valid.all()), times.tolist(), generator.initial_seed()))
        return torch.arange(3).double() * 8 * len(asked)

    monkeypatch.setattr(uncertainty, "nelbo", nelbo)
    found = uncertainty._error(None, torch.zeros(3, 4, dtype=torch.long), seed=6)
    draws = uncertainty.DRAWS

    assert [((3, 4), True, 7)] * draws == [(tuple(one[0]), one[1], one[3]) for one in asked]
    assert draws == len({tuple(one[2]) for one in asked}) > 1
    mean = sum(range(1, draws + 1)) / draws
    assert pytest.approx([0.0, 2 * mean, 4 * mean]) == found.tolist()
