"""Where the cues of a run come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aios_core.component import blamed
from aios_core.contracts import CueSource

if TYPE_CHECKING:
    from aios_core.config.schema import Config
    from aios_core.contracts import TrainedTokenizer


def source(
    config: Config, tokenizer: TrainedTokenizer, *, place: str | None = None, maker: str = ""
) -> CueSource:
    """That of the configured conditioner; the autoregressive twin has none.

    Args:
        config: of the run.
        tokenizer: of its rows.
        place: as for `Conditioner.open`.
        maker: likewise.

    Raises:
        AIOSError: it cannot be used.
    """
    if config.mode == "ar":
        return CueSource()
    with blamed(config.conditioner, "open"):
        return config.conditioner.open(config, tokenizer, place=place, maker=maker)
