"""Evidence, cut into texts to fit on, texts that decide, and texts that only report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Self

import attrs
import numpy as np
import torch
from attrs import frozen

from aios_core.contracts import Experience, Windows
from aios_core.contracts.dataset import HELD_OUT
from aios_core.errors import EvolutionError
from aios_core.training.digest import tensor_digest, text_digest
from aios_core.training.layout import Framing, in_order, sequences
from aios_core.training.spool import Spool
from aios_core.training.token_rows import TokenRows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aios_core.config.schema import Config
    from aios_core.contracts import Split, TrainedTokenizer
    from aios_core.training.corpus import Corpus


@frozen(eq=False)
class Held:
    """Texts of both domains that no level sees."""

    target: Windows
    base: Windows

    @property
    def fingerprint(self) -> str:
        """Hex digest of their tokens."""
        return text_digest([tensor_digest(self.target.ids), tensor_digest(self.base.ids)])


@frozen(eq=False)
class Splits:
    """Three splits with no window in common."""

    fitting: Experience
    gate: Held
    report: Held
    dropped: int
    """Held-out windows of the target that were left out, for they stand in the fitting texts."""

    @property
    def fingerprint(self) -> str:
        """Hex digest of what is learned from."""
        return text_digest([tensor_digest(self.fitting.target.ids)])


@frozen(eq=False)
class Material:
    """What is learned from and what is kept, read once however often they are split."""

    evidence: tuple[Spool, ...]
    base: Corpus | Spool

    @classmethod
    def of(cls, config: Config, base: Corpus | None = None) -> Self:
        """The texts of a configuration.

        Args:
            config: says what the evidence is.
            base: what the model was trained on; None: the data set of the configuration.

        Raises:
            DataError: they cannot be read.
        """
        evidence = tuple(Spool(dataset, "evidence") for dataset in config.evidence)
        return cls(evidence, base or Spool(config.dataset, "dataset"))


def split(config: Config, tokenizer: TrainedTokenizer, material: Material | None = None) -> Splits:
    """Cut the evidence of a configuration, and the data set that the model was trained on.

    The validation split of the evidence is what decides, in its first half, and what reports, in
    its second: contiguous halves, for neighbours in a text are too alike. A held-out window that
    stands in the fitting texts word for word is left out.

    Args:
        config: says what the evidence is, and how much of it is taken.
        tokenizer: of the model.
        material: evidence and data set, where they were read already.

    Raises:
        EvolutionError: there is no evidence, too little of it, or too little that is not also in
            the texts to fit on.
        DataError: it cannot be read.
    """
    if not config.evidence:
        raise EvolutionError(
            "there is no evidence to adapt to; name them by `texts`, or by [[evidence]] in the "
            "configuration"
        )
    evolution, length = config.evolution, config.diffusion.length
    framing = Framing.of(config)
    count = evolution.windows

    def cut(sets: Sequence[Corpus | Spool], part: Split, most: int) -> Windows:
        return windows((t for c in sets for t in c.texts(part)), tokenizer, framing, most)

    material = material or Material.of(config)
    evidence, own = material.evidence, (material.base,)
    target = cut(evidence, "train", evolution.fitting_windows)
    # More than are needed, for those that stand in the texts to fit on as well are left out.
    held, dropped = _without(cut(evidence, "validation", 4 * count), target)
    known = cut(own, "validation", 2 * count)
    if not len(target):
        raise EvolutionError("the evidence is empty; expected texts")
    if len(held) < dropped:
        raise EvolutionError(
            f"{dropped} of the {dropped + len(held)} held-out windows of the evidence stand in the "
            "texts to fit on as well, so a gate could not tell learning from remembering; expected "
            "texts that do not repeat themselves"
        )
    for name, sets, held_out in (
        ("evidence", evidence, held),
        ("data set of the model", own, known),
    ):
        if (missing := 2 * MIN_WINDOWS - len(held_out)) > 0:
            texts = chain.from_iterable(c.texts("validation") for c in sets)
            sample = "".join(islice(chain.from_iterable(texts), 64 * length))
            each = len(sample) / max(1, len(tokenizer.encode(sample)))
            more = missing * length * (each or 1.0) / HELD_OUT
            also = ""
            if held_out is held and dropped:
                more *= (len(held) + dropped) / len(held)
                also = f" ({dropped} more stand in the texts to fit on as well and are left out)"
            raise EvolutionError(
                f"the {name}: expected {2 * MIN_WINDOWS} held-out windows of {length} tokens, half "
                f"of which decide and half report, got {len(held_out)}{also}; about {more:,.0f} "
                f"characters more are needed, of which {HELD_OUT:.0%} are held out"
            )
    held = held[: 2 * count]
    replay = cut(own, "train", evolution.fitting_windows)
    halves = [(_part(held, h), _part(known, h)) for h in (0, 1)]
    return Splits(
        Experience(target, replay, config.seed), Held(*halves[0]), Held(*halves[1]), dropped
    )


MIN_WINDOWS = 16
"""Windows of each domain that decide, below which an interval would say nothing."""


def windows(
    texts: Iterable[str], tokenizer: TrainedTokenizer, framing: Framing, most: int
) -> Windows:
    """The first windows of some texts, each of one text, as the model was trained on them.

    A text begins with a begin token and ends with an end token; a longer one is cut. Of a model of
    streams, texts lie one behind the other, with end tokens between them. What is left over is
    padding.
    """
    rows = TokenRows.of(_encoded(texts, tokenizer, framing, most), tokenizer.vocabulary)
    alone = attrs.evolve(framing, packed=False, fill=False)
    if framing.documents:
        return sequences(rows, in_order(rows, alone)[:most], alone)
    length, ids = framing.length, rows.ids[:-1][: most * framing.length]
    count = -(-len(ids) // length)
    padded = np.full(count * length, tokenizer.vocabulary.pad_id, np.int64)
    padded[: len(ids)] = ids
    valid = np.arange(count * length) < len(ids)
    shape = count, length
    return Windows(torch.from_numpy(padded.reshape(shape)), torch.from_numpy(valid.reshape(shape)))


def _encoded(
    texts: Iterable[str], tokenizer: TrainedTokenizer, framing: Framing, most: int
) -> Iterator[NDArray[np.int32]]:
    """As many texts as fill so many windows."""
    length, windows, places = framing.length, 0, 0
    texts = iter(texts)
    while (windows if framing.documents else places // length) < most:
        if (text := next(texts, None)) is None:
            return
        # Not all of a long text is needed, and no token is shorter than a byte.
        ids = tokenizer.encode(text[: 64 * most * length])
        places += len(ids) + bool(places)
        windows += -(-(len(ids) + 2) // length)
        yield ids


def _part(windows: Windows, half: int) -> Windows:
    middle = len(windows) // 2
    return windows[middle * half : middle + middle * half]


def _without(held: Windows, fitting: Windows) -> tuple[Windows, int]:
    """Held-out windows that do not stand in the fitting texts, at whatever offset."""
    stream = fitting.ids[fitting.targets].numpy().tobytes()
    kept = [
        row
        for row in range(len(held))
        if held.ids[row][held.targets[row]].numpy().tobytes() not in stream
    ]
    return held[torch.tensor(kept, dtype=torch.long)], len(held) - len(kept)
