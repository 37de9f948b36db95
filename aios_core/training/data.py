"""Texts as memory-mapped tokens, made once for each content and tokenizer and kept in a cache."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from attrs import frozen

from aios_core.contracts.dataset import SPLITS
from aios_core.errors import ConfigError, DataError, TokenizerError
from aios_core.files import (
    cache_folder,
    entry,
    fault,
    manifest,
    new_folder,
    remove_folder,
    replace_text,
)
from aios_core.training import cues
from aios_core.training.corpus import Corpus

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from aios_core.config import Resolved
    from aios_core.config.schema import Config
    from aios_core.contracts import HeldOutTokens, Split, TrainedTokenizer

log = logging.getLogger(__name__)


@frozen(eq=False)
class Tokens:
    """One split of a data set: all its documents in a row, an end-of-text token between them."""

    ids: NDArray[np.int32]
    """(n,) int32, mapped from the cache."""
    num_bytes: int
    """UTF-8 bytes of the text, which makes nats per token comparable across tokenizers."""
    fingerprint: str
    """Hex digest of text and tokenizer: equal fingerprints give equal ids."""
    pad_id: int
    exact: bool = True
    """Whether decoding gives back every document; asked of texts that are measured on alone."""

    def batch(self, step: int, seed: int, batch_size: int, length: int) -> Tensor:
        """Random windows, a function of the arguments alone: the same on every machine.

        Raw words of Philox are used because NumPy promises that they never change, which it does
        not for its distributions; the modulo's bias is below n / 2**64.

        Returns:
            (batch_size, length) int64 ids.
        """
        words = np.random.Philox(np.random.SeedSequence([seed, step])).random_raw(batch_size)
        starts = (words % np.uint64(len(self.ids) - length + 1)).astype(np.int64)
        return torch.from_numpy(self.ids[starts[:, None] + np.arange(length)].astype(np.int64))

    def windows(self, length: int, count: int | None = None) -> tuple[Tensor, Tensor]:
        """Every token exactly once, in order.

        Args:
            length: L.
            count: most windows, spread evenly over the split; None: all.

        Returns:
            ids (N, length) int64 and valid (N, length) bool, False where the last row is padded.
        """
        rows = np.arange(-(-len(self.ids) // length))
        if count is not None and count < len(rows):
            rows = np.linspace(0, len(rows) - 1, count).round().astype(np.int64)
        places = rows[:, None] * length + np.arange(length)
        valid = places < len(self.ids)
        ids = self.ids[np.minimum(places, len(self.ids) - 1)].astype(np.int64)
        return torch.from_numpy(np.where(valid, ids, self.pad_id)), torch.from_numpy(valid)


@frozen(eq=False)
class Prepared:
    """All that training and evaluation need of a data set."""

    tokenizer: TrainedTokenizer
    train: Tokens
    held_out: Tokens
    corpus: Corpus

    @property
    def fingerprint(self) -> str:
        """Hex digest of both splits and the tokenizer."""
        return digest(self.train.fingerprint + self.held_out.fingerprint)

    def trained_on(self, config: Config) -> str:
        """Hex digest of all that a network learns from: these texts, and the cues of its rows."""
        content = self.train.fingerprint + self.held_out.fingerprint
        return digest(content + cues.source(config, self.tokenizer).fingerprint())


def prepare(resolved: Resolved, corpus: Corpus | None = None) -> Prepared:
    """Train the tokenizer on the training split and tokenize both, or take them from the cache.

    Safe in several processes at once: each writes under a name of its own, one of the equal
    results stays.

    Args:
        resolved: the configuration.
        corpus: its texts, where they were read already.

    Raises:
        DataError: the data set is too small, or the cache cannot be written.
    """
    config, corpus = resolved.config, corpus or Corpus(resolved)
    settings = {
        "texts": corpus.contents["train"].sha256,
        "settings": resolved.values["tokenizer"],
        "files": tokenizer_files(resolved),
        "by": [
            (component.distribution, component.version)
            for component in resolved.components
            if component.kind == "tokenizer"
        ],
    }
    name = digest(json.dumps(settings, sort_keys=True))
    with _naming_cache():
        folder = cache_folder() / "tokenizers" / name
        _cached(folder, lambda to: config.tokenizer.train(corpus.texts("train")).save(to))
        tokenizer = config.tokenizer.load(folder)
    train, held_out = (tokens(corpus, split, tokenizer) for split in SPLITS)
    if len(train.ids) < config.diffusion.length:
        raise DataError(
            f"the training split has {len(train.ids)} tokens, fewer than diffusion.length = "
            f"{config.diffusion.length}; expected a longer text or a smaller length"
        )
    return Prepared(tokenizer, train, held_out, corpus)


def tokenizer_files(resolved: Resolved) -> list[str]:
    """SHA-256 of each file that the section of the tokenizer names: one may change in its place."""
    section = resolved.values["tokenizer"]
    named = (section[key[1]] for key in resolved.paths if key[0] == "tokenizer" and len(key) == 2)
    return [str(entry(Path(file))["sha256"]) for file in named if Path(file).is_file()]


def check_sampling(config: Config, tokenizer: TrainedTokenizer) -> None:
    """Hold ``[sampling]`` against the tokens, before a network is trained to be sampled from.

    Raises:
        ConfigError: it names what is not a token, or leaves none.
    """
    vocabulary = tokenizer.vocabulary
    if problem := config.sampling.fault(vocabulary.size, vocabulary.mask_id):
        raise ConfigError(f"sampling.{problem}")


def tokens(corpus: Corpus, split: Split, tokenizer: TrainedTokenizer) -> Tokens:
    """One split in tokens, from the cache where it is there.

    Raises:
        DataError: the texts cannot be read, or the cache cannot be written.
    """
    name, num_bytes = fingerprint(corpus, split, tokenizer), corpus.contents[split].num_bytes
    measured = split != "train"
    return _tokens(name, num_bytes, tokenizer, lambda: corpus.texts(split), measured=measured)


def whole(corpus: Corpus, tokenizer: TrainedTokenizer) -> Tokens:
    """All documents in tokens, not split, from the cache where they are there.

    Raises:
        DataError: as for `tokens`.
    """
    content = corpus.whole
    name = digest(content.sha256 + tokenizer.fingerprint)
    return _tokens(name, content.num_bytes, tokenizer, lambda: corpus.texts("whole"), measured=True)


def _tokens(
    name: str,
    num_bytes: int,
    tokenizer: TrainedTokenizer,
    texts: Callable[[], Iterator[str]],
    *,
    measured: bool,
) -> Tokens:
    vocabulary = tokenizer.vocabulary

    def write(folder: Path) -> None:
        with (folder / "ids.i32").open("wb") as file:
            for number, text in enumerate(texts()):
                if number:
                    file.write(np.array(vocabulary.eos_id, "<i4").tobytes())
                file.write(tokenizer.encode(text).astype("<i4").tobytes())

    with _naming_cache():
        folder = cache_folder() / "tokens" / name
        _cached(folder, write)
        ids = np.memmap(folder / "ids.i32", dtype="<i4", mode="r")
        exact = not measured or _is_exact(name, ids, tokenizer, texts)
    return Tokens(ids, num_bytes, name, vocabulary.pad_id, exact)


def _is_exact(
    name: str,
    ids: NDArray[np.int32],
    tokenizer: TrainedTokenizer,
    texts: Callable[[], Iterator[str]],
) -> bool:
    """Whether tokens decode to the texts that they were made of, from the cache where it says so.

    What differs is kept beside the tokens and not with them, which are there of earlier versions.
    """

    def write(folder: Path) -> None:
        ends = np.append(np.flatnonzero(ids == tokenizer.vocabulary.eos_id), len(ids))
        starts = np.append(0, ends[:-1] + 1)
        try:
            decoded = (tokenizer.decode(ids[a:b]) for a, b in zip(starts, ends, strict=True))
            same = all(text == back for text, back in zip_longest(texts(), decoded))
        except TokenizerError:  # for which it is too much, so nothing shows that it is the text
            same = False
        replace_text(folder / "exact.json", json.dumps(same))

    folder = cache_folder() / "exact" / name
    _cached(folder, write)
    return json.loads((folder / "exact.json").read_text()) is True


def fingerprint(corpus: Corpus, split: Split, tokenizer: TrainedTokenizer) -> str:
    """Hex digest of the tokens of a split, which are not made for it."""
    return digest(corpus.contents[split].sha256 + tokenizer.fingerprint)


@contextmanager
def _naming_cache() -> Iterator[None]:
    """Say of a disk that refuses where it is."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{cache_folder()}: tokens cannot be kept here: {error}; AIOS_CACHE names another "
            "folder"
        ) from error


def _cached(folder: Path, fill: Callable[[Path], None]) -> None:
    """Make sure that a folder of the cache is there and as it was written."""
    if folder.exists():
        if (reason := _damage(folder)) is None:
            return
        log.warning("%s: %s; it is made again", folder, reason)
        remove_folder(folder)
    with new_folder(folder) as temporary:
        fill(temporary)
        replace_text(temporary / _SEAL, json.dumps(manifest(temporary)))


_SEAL = "manifest.json"


def _damage(folder: Path) -> str | None:
    try:
        seal: dict[str, Any] = json.loads((folder / _SEAL).read_text())
        faults = (fault(folder / name, entry) for name, entry in seal.items())
        return next((text for text in faults if text), None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{_SEAL} cannot be used: {error!r}"


def digest(text: str) -> str:
    """Hex SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


if TYPE_CHECKING:

    def _offers(split: Tokens) -> HeldOutTokens:
        return split
