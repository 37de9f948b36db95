"""A trained model in few bits: what it is calibrated on."""

from types import SimpleNamespace

import pytest

from aios_core.training import quantize as module


@pytest.mark.parametrize("seed", [0, 5])
def test_texts_times_and_noise_of_a_calibration_follow_from_the_seed(monkeypatch, seed):
    """As many windows as are asked for, of the length that the model was trained with."""
    asked, given = [], []
    train = SimpleNamespace(batch=lambda *words: asked.append(words) or "ids")
    monkeypatch.setattr(
        module, "calibrate", lambda model, ids, *, seed: asked.append((ids, seed)) or "statistics"
    )
    monkeypatch.setattr(module, "quantize_model", lambda *words, **more: given.append(more))
    model = SimpleNamespace(length=24)
    expected = SimpleNamespace(calibrated=True)
    module.quantize(model, expected, train, seed=seed, texts=3, exclude=["head*"])

    assert [(0, seed, 3), ("ids", seed)] == asked
    assert ("statistics", ["head*"]) == (given[0]["statistics"], given[0]["exclude"])
    module.quantize(model, expected, None)
    module.quantize(model, SimpleNamespace(calibrated=False), train)
    assert 2 == len(asked)
    assert [None, None] == [each["statistics"] for each in given[1:]]
