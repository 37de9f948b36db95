"""Texts as memory-mapped tokens, made once for each content and tokenizer and kept in a cache."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from aios_core.training import cues, tasks, token_rows
from aios_core.training.corpus import Corpus
from aios_core.training.layout import Framing
from aios_core.training.tokens import Tokens

if TYPE_CHECKING:
    from aios_core.config import Resolved
    from aios_core.config.schema import Config
    from aios_core.contracts import Row, Split, TrainedTokenizer
    from aios_core.training.spool import Part
    from aios_core.training.token_rows import TokenRows

log = logging.getLogger(__name__)


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
    framing = Framing.of(config)
    train, held_out = (tokens(corpus, split, tokenizer, framing) for split in SPLITS)
    for what, part in (("training", train), ("validation", held_out)):
        part.check(f"the {what} split", partial(_place, config, part, tokenizer))
    tasks.check(train.rows, config.tasks, "training")
    return Prepared(tokenizer, train, held_out, corpus)


def _place(config: Config, part: Tokens, tokenizer: TrainedTokenizer, number: int) -> str:
    """Where a row is from, or the first that is equal: its tokens do not say it, so it is searched.

    Nothing is said where the data set has no such row, as where it has changed.
    """
    text = part.row(number, tokenizer).joined("given", "target")
    rows = config.dataset.all_rows()
    return next((row.where for row in rows if row.joined("given", "target") == text), "")


def tokenizer_files(resolved: Resolved) -> list[str]:
    """SHA-256 of each file that the tokenizer is made of: one may change in its place."""
    section = resolved.values["tokenizer"]
    named = [section[key[1]] for key in resolved.paths if key[0] == "tokenizer" and len(key) == 2]
    files = [*map(Path, named), *resolved.config.tokenizer.files()]
    return [str(entry(file)["sha256"]) for file in files if file.is_file()]


def check_sampling(config: Config, tokenizer: TrainedTokenizer) -> None:
    """Hold ``[sampling]`` against the tokens, before a network is trained to be sampled from.

    Raises:
        ConfigError: it names what is not a token, or leaves none.
    """
    vocabulary = tokenizer.vocabulary
    if problem := config.sampling.fault(vocabulary.size, vocabulary.mask_id):
        raise ConfigError(f"sampling.{problem}")


def tokens(corpus: Corpus, part: Part, tokenizer: TrainedTokenizer, framing: Framing) -> Tokens:
    """A part of a corpus in tokens, from the cache where they are there.

    Args:
        corpus: the rows.
        part: which of them.
        tokenizer: of the run.
        framing: what sequences of them look like.

    Raises:
        DataError: the rows cannot be read, or the cache cannot be written.
    """
    content = corpus.contents[part]
    name = digest(content.sha256 + tokenizer.fingerprint)
    with _naming_cache():
        folder = cache_folder() / "rows" / name
        _cached(folder, lambda to: token_rows.write(to, corpus.rows(part), tokenizer))
        rows = token_rows.read(folder, tokenizer.vocabulary)
        exact = part == "train" or _is_exact(name, rows, tokenizer, lambda: corpus.rows(part))
    return Tokens(rows, content.num_bytes, name, framing, exact)


def _is_exact(
    name: str,
    rows: TokenRows,
    tokenizer: TrainedTokenizer,
    source: Callable[[], Iterator[Row]],
) -> bool:
    """Whether tokens decode to the texts that they were made of, from the cache where it says so.

    What differs is kept beside the tokens and not with them, which are there of earlier versions.
    """

    def write(folder: Path) -> None:
        ends = zip(rows.starts, rows.ends, strict=True)
        try:
            decoded = (tokenizer.decode(rows.ids[start : end - 1]) for start, end in ends)
            texts = (
                token_rows.written(row, tokenizer).joined("given", "target") for row in source()
            )
            same = all(text == back for text, back in zip_longest(texts, decoded))
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
