"""The figure of the trainings: what its lines show."""

import json

import pytest

from aios_core.experiment.training import _common, _records, _smooth


def test_a_loss_that_stays_is_smoothed_to_itself():
    """From the first step on: nothing is pulled towards zero."""
    for count in (1, 20, 30, 400):
        assert pytest.approx([3.25] * count) == _smooth([3.25] * count)


def test_a_smoothed_loss_is_the_mean_with_weights_that_halve():
    """Over a twentieth of the run: of 40 records, each counts half as much as the next."""
    losses = [float(number * number % 11) for number in range(40)]
    for at, found in enumerate(_smooth(losses)):
        weights = [0.5 ** (at - number) for number in range(at + 1)]
        total = sum(w * loss for w, loss in zip(weights, losses, strict=False))

        assert pytest.approx(total / sum(weights)) == found
    assert losses[:20] == _smooth(losses[:20]), "so few are shown as they are"


def test_records_are_those_of_a_name(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = [{"step": 2, "loss": 1.5}, {"step": 4, "held_out_loss": 2}, {"step": 6, "loss": None}]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")

    assert [(2, 1.5)] == _records(path, "loss")
    assert [(4, 2)] == _records(path, "held_out_loss")
    assert [] == _records(tmp_path / "none", "loss")


def test_common_settings_are_those_of_every_network():
    settings = ({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 3, "c": 3}, {"a": 1, "b": 2})

    assert {"a": 1} == _common([{"settings": one} for one in settings])
