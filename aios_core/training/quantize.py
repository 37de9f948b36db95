"""A trained model in few bits, calibrated on its own training texts where that is wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from aios_core.allocation import enough_memory
from aios_core.errors import QuantizationError
from aios_core.quantization.calibrate import calibrate
from aios_core.quantization.linear import quantize_model

if TYPE_CHECKING:
    from aios_core.contracts import Quantizer
    from aios_core.diffusion.model import Model
    from aios_core.training.tokens import Tokens

TEXTS: Final = 128
"""Texts that a calibration sees, unless another number is given."""

_ID: Final = 8
"""Bytes of a token id."""


def quantize(
    model: Model,
    quantizer: Quantizer,
    train: Tokens | None,
    *,
    seed: int = 0,
    texts: int = TEXTS,
    exclude: Sequence[str] = (),
    on_progress: Callable[[str], None] = lambda _: None,
    measured: Callable[[str], None] = lambda _: None,
) -> None:
    """Quantize a model in place.

    Args:
        model: trained.
        quantizer: how; one that changes nothing leaves the model as it is.
        train: texts to calibrate with; None: without, whatever the quantizer asks for.
        seed: of the texts that are taken, of their times and their noise.
        texts: how many are taken.
        exclude: patterns of weights that stay as they are.
        on_progress: called with the name of each layer that is done.
        measured: called before, with the name of each layer that a plan looks at.

    Raises:
        QuantizationError: a weight cannot be quantized, or the texts do not fit into memory.
    """
    statistics = None
    if quantizer.calibrated and train is not None:
        with enough_memory(
            QuantizationError,
            f"calibrating with {texts:,} texts of {model.length:,} tokens",
            "use fewer `texts`",
            at_least=_ID * texts * model.length,
        ):
            statistics = calibrate(model, train.batch(0, seed, texts), seed=seed)
    quantize_model(
        model,
        quantizer,
        statistics=statistics,
        exclude=exclude,
        on_progress=on_progress,
        measured=measured,
    )
