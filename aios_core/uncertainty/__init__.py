"""How unsure a model is of a text: estimators, their calibration, and screening by them."""

from aios_core.uncertainty.calibration import Calibration
from aios_core.uncertainty.estimators import estimators
from aios_core.uncertainty.screening import TextScore, score_texts, store_uncertain

__all__ = [
    "Calibration",
    "TextScore",
    "estimators",
    "score_texts",
    "store_uncertain",
]
