"""Texts of which a model is unsure: how windows and readings are put together."""

import shutil

import numpy as np
import pytest

from aios_core.diffusion.uncertainty import DEFAULT, ESTIMATORS, RATES
from aios_core.inference import ArrowEngine, doubt
from aios_core.inference.calibration import NAME, Calibration, scores
from aios_core.inference.doubt import doubts


def test_windows_count_by_their_tokens_and_readings_give_an_error(run, tmp_path, monkeypatch):
    """The score is the mean of readings; its noise their standard error, with n - 1."""
    shutil.copytree(run, tmp_path / "run")
    engine, seen = ArrowEngine.load(tmp_path / "run"), []
    same = {name: (0.5,) * len(RATES) for name in ESTIMATORS}
    calibration = Calibration(
        training_key=engine.models["diffusion"].state.training_key,
        texts=1,
        temperatures=(1.0,) * len(RATES),
        centre=same,
        scale=same,
        thresholds=dict.fromkeys(ESTIMATORS, -100.0) | {DEFAULT: 100.0},
    )
    calibration.save(tmp_path / "run" / NAME)

    def recorded(*words):
        seen.append(scores(*words))
        return seen[-1]

    monkeypatch.setattr(doubt, "scores", recorded)
    text = "12 bottles of milk, and 7 more"
    (one,) = doubts(engine, [text], readings=3, seed=2)
    each = np.array([calibration.total(reading)[DEFAULT] for reading in seen])
    weighed = (each * [24, len(text) - 24]).sum(1) / len(text)

    assert ((3, 2), 2) == (each.shape, one.windows)
    assert pytest.approx(weighed.mean()) == one.score == one.estimators[DEFAULT]
    assert pytest.approx(np.std(weighed, ddof=1) / 3**0.5) == one.noise
    assert 3 == len(set(weighed)), "each reading has noise of its own"
    assert (100.0, False) == (one.threshold, one.triggered)
    (other,) = doubts(engine, [text], readings=2, estimator="entropy")
    assert (-100.0, True) == (other.threshold, other.triggered)
    assert other.score == other.estimators["entropy"]
