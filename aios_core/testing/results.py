"""Results of ablations that nobody ran, for tests of what reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from aios_core.experiment.results import Results, TrialResult


def made_up(
    folder: Path,
    values: Mapping[str, Sequence[float | None]],
    better: str | None = "lower",
    reference: float | Mapping[str, float | None] | None = None,
) -> Results:
    """An ablation in which one metric, ``m``, was measured.

    Args:
        folder: that it is said to be in; nothing is written there.
        values: arm to its values, one a seed; None: that trial failed. The first arm is the
            baseline.
        better: which values are: ``lower``, ``higher``, ``nearer`` or none.
        reference: what held-out texts have: of all arms, or of each its own.
    """
    references = reference if isinstance(reference, Mapping) else dict.fromkeys(values, reference)
    about = {"unit": "nats", "better": better, "stderr": 0.25}
    trials = [
        TrialResult(
            key=f"{arm}{seed}",
            arm=arm,
            baseline=arm == next(iter(values)),
            seed=seed,
            settings={"noise.type": arm, "seed": seed},
            training_key="t",
            model={},
            result={"status": "failed", "reason": "it <b>broke</b>\nhere"}
            if value is None
            else {
                "status": "done",
                "metrics": {"m": {"value": value, **about}},
                "reference": {}
                if references[arm] is None
                else {"m": {"value": references[arm], **about}},
                "nfe": 4.0,
                "sampling_seconds": 1.0,
                "dtype": "float64",
                "texts": [],
                "film": {"tokens": [], "frames": []},
            },
        )
        for arm, own in values.items()
        for seed, value in enumerate(own)
    ]
    return Results(folder, {"name": "made-up", "source": ""}, tuple(trials), {})
