"""The texts that a trained network is measured on: its own held-out ones, or others on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from attrs import frozen

from aios_core.config import resolve
from aios_core.contracts.dataset import SPLITS
from aios_core.errors import DataError
from aios_core.training import cues
from aios_core.training.corpus import Corpus
from aios_core.training.data import digest, fingerprint, tokens
from aios_core.training.layout import Framing

if TYPE_CHECKING:
    from aios_core.config import Resolved
    from aios_core.contracts import Split
    from aios_core.training.checkpoint import Checkpoint
    from aios_core.training.data import Prepared
    from aios_core.training.spool import Part
    from aios_core.training.tokens import Tokens


class OtherTextsError(DataError):
    """The texts are not those that the network was trained on."""


@frozen(eq=False)
class Measured:
    """Texts in the tokens of the run's own tokenizer."""

    held_out: Tokens
    other: str | None = None
    """What stands in for the run's own validation split, in words; None: nothing does."""
    corpus: Corpus | None = None
    """The run's own texts, where they were read for this; None: they were not."""

    @classmethod
    def of(cls, prepared: Prepared) -> Self:
        """The held-out texts of a run whose data set was read already."""
        return cls(prepared.held_out, corpus=prepared.corpus)


def own_corpus(
    trained: Checkpoint, resolved: Resolved | None = None, corpus: Corpus | None = None
) -> Corpus:
    """The texts that a network was trained on, which are shown to be the same still.

    Args:
        trained: the network.
        resolved: says where the texts are; None: the network's own configuration does.
        corpus: the texts, where they were read already.

    Raises:
        OtherTextsError: they have changed since.
        DataError: they cannot be read.
    """
    corpus, state = corpus or Corpus(resolved or trained.resolved), trained.state
    splits = "".join(fingerprint(corpus, split, trained.tokenizer) for split in SPLITS)
    known = {digest(splits)}
    if not state.texts:  # of format 2, which has one digest of texts and cues
        given = cues.source(trained.resolved.config, trained.tokenizer)
        known.add(digest(splits + given.fingerprint()))
    expected = state.texts or state.data
    if expected not in known:
        raise OtherTextsError(
            f"{corpus}: is not the text that {trained.folder} was trained on: expected one "
            f"with the digest {expected[:12]}, got {digest(splits)[:12]}; put it back as it was"
        )
    return corpus


def own(
    trained: Checkpoint,
    resolved: Resolved | None = None,
    corpus: Corpus | None = None,
    split: Split = "validation",
) -> Measured:
    """The held-out texts of a run.

    Args:
        trained: its network.
        resolved: as for `own_corpus`.
        corpus: likewise.
        split: which one.

    Raises:
        DataError: as for `own_corpus`, or there is no such split.
    """
    corpus = own_corpus(trained, resolved, corpus)
    other = None if split == "validation" else f"the {split} split"
    return Measured(_tokens(trained, corpus, split), other, corpus)


def others(trained: Checkpoint, file: Path, overrides: Sequence[str] = ()) -> Measured:
    """All texts of a file, in place of the run's own.

    Args:
        trained: the network, whose tokenizer encodes them.
        file: as the data set ``file`` reads it; a row is what the run's own data set says.
        overrides: of the data set, as in ``dataset.encoding=latin-1``.

    Raises:
        DataError: it cannot be read, or holds no text.
    """
    before = trained.state.values["dataset"]
    shape = {key: before[key] for key in trained.resolved.config.dataset.shape() if key in before}
    values = {**trained.state.values, "dataset": {"type": "file", **shape, "path": str(file)}}
    resolved = resolve(values, overrides=overrides, registry=trained.resolved.registry)
    return Measured(_tokens(trained, Corpus(resolved, whole=True), "whole"), str(file))


def other_rows(
    trained: Checkpoint, overrides: Sequence[str], split: Split = "validation"
) -> Measured:
    """The held-out rows of a data set that need not be that of the run.

    Args:
        trained: the network, whose tokenizer encodes them.
        overrides: of the run's data set, as in ``dataset.clues=0.2``, at least one.
        split: which one.

    Raises:
        ConfigError: an override is wrong.
        DataError: they cannot be read, or there are none.
    """
    resolved = resolve(
        trained.state.values, overrides=overrides, registry=trained.resolved.registry
    )
    where = "" if split == "validation" else f"the {split} split of "
    other = f"{where}rows with {', '.join(overrides)}"
    return Measured(_tokens(trained, Corpus(resolved), split), other)


def _tokens(trained: Checkpoint, corpus: Corpus, part: Part) -> Tokens:
    """Rows in the sequences that the run learned from."""
    if part != "whole":
        corpus.check_has(part)
    made = tokens(corpus, part, trained.tokenizer, Framing.of(trained.resolved.config))
    made.check(str(corpus) if part == "whole" else f"the {part} split")
    return made
