"""The figure of the trainings: what its lines show."""

import json
from types import SimpleNamespace

import pytest

from aios_plugins.reports.html.training import _common, _records, _smooth, _trainings


def test_a_loss_that_stays_is_smoothed_to_itself():
    """From the first step on: nothing is pulled towards zero."""
    for count in (1, 20, 30, 400):
        assert pytest.approx([3.25] * count) == _smooth([3.25] * count)


def test_a_smoothed_loss_is_the_mean_with_weights_that_halve():
    """Over a twentieth of the run: of 40 records, each counts half as much as the next."""
    losses = [float(number * number % 11) for number in range(40)]
    for at, smoothed in enumerate(_smooth(losses)):
        weights = [0.5 ** (at - number) for number in range(at + 1)]
        total = sum(w * loss for w, loss in zip(weights, losses, strict=False))

        assert pytest.approx(total / sum(weights)) == smoothed
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

    assert {"a": 1} == _common([{"settings": setting} for setting in settings])


def test_each_training_is_drawn_once_with_what_its_networks_share():
    models = {
        "x": {"training_key": "one", "settings": {"noise.type": "cosine", "quantizer.bits": 4}},
        "y": {"training_key": "two", "settings": {"noise.type": "log"}},
        "z": {"training_key": "one", "settings": {"noise.type": "cosine", "quantizer.bits": 8}},
    }
    result = _trainings(SimpleNamespace(models=models))

    assert {"one": [models["x"], models["z"]], "two": [models["y"]]} == result
    assert {"noise.type": "cosine"} == _common(result["one"])


def test_losses_are_smoothed_over_a_twentieth_of_the_run():
    losses = [float(n % 7) for n in range(400)]
    decay = 1 - 20 / 400
    last = [decay**age for age in range(399, -1, -1)]
    expected = sum(w * x for w, x in zip(last, losses, strict=True)) / sum(last)

    assert pytest.approx(expected) == _smooth(losses)[-1]
    assert losses[0] == _smooth(losses)[0]
    assert [1.0, 5.0, 2.0] == _smooth([1.0, 5.0, 2.0]), "of a short one each is as it was"
