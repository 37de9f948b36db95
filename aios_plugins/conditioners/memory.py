"""Memory conditioning: texts that are written with the user's own memories in mind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from attrs import Attribute, field, frozen, validators

from aios_core.contracts import Conditioner, CueSource
from aios_core.contracts.conditioner import check_options
from aios_core.errors import InferenceError, StorageError
from aios_core.redaction import without_password
from aios_plugins.conditioners._attention import MemoryAttention
from aios_plugins.conditioners._recall import Recall

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from aios_core.contracts import Backbone, Id, Randomness, TrainedTokenizer
    from aios_core.contracts.conditioner import Surroundings
    from aios_plugins.conditioners._recall import Memories

_NO_EFFECT = {"affects": "nothing"}
_size: Any = [validators.ge(1), validators.le(2**20)]


@frozen
class Memory(Conditioner):
    """Memories of a store, found by what is given of a text, and read by cross-attention.

    What is given is embedded, the k nearest memories are read from the store, their vectors are
    projected, and each layer of the backbone attends to them behind a gate that is zero until it
    is trained. Some texts of the training get none, so that guidance can lead away from what the
    network says without memories.
    """

    prefix: ClassVar[str] = "memory"

    k: int = field(validator=[validators.ge(1), validators.le(65_536)])
    """K, most memories of a text."""
    store: Path | None = field(default=None, metadata=_NO_EFFECT)
    """Folder of the store that training recalls from, and sampling unless another is named; of the
    backend that ``[storage]`` names. What is in it counts, not where it is."""
    uri: str | None = field(default=None, metadata=_NO_EFFECT)
    """Instead of ``store``, where the backend is a server; without a password, since runs keep
    their configuration."""
    dim: int = field(default=384, validator=_size)
    """E, numbers in a vector of the store; that of the embedding."""
    num_tokens: int = field(default=4, validator=_size)
    """What a vector is projected to, for attention to read (the name is that of IP-Adapter)."""
    heads: int = field(default=4, validator=_size)
    """Attention heads; they divide the width of the backbone."""
    dropout: float = field(default=0.1, validator=[validators.ge(0), validators.lt(1)])
    """Share of the training texts that get no memories, so that guidance can lead away from it."""

    @uri.validator
    def _single(self, attribute: Attribute[Any], value: str | None) -> None:
        if value is None:
            return
        if self.store is not None:
            raise ValueError("is another place than store; expected one of them")
        without_password(self, attribute, value)

    @property
    def place(self) -> str | None:
        """Where the store is."""
        return self.uri if self.store is None else str(self.store)

    def fault(self, backbone: Backbone) -> str | None:
        """It needs a store, a backbone with injections, and heads that divide its width."""
        if self.place is None:
            return 'store: is missing; expected the folder of a store, or the type "none"'
        if not backbone.injections:
            return f"{type(backbone).__name__} cannot use memories; expected another backbone"
        return self._heads_fault(backbone.dim)

    def _heads_fault(self, dim: int) -> str | None:
        if dim % self.heads == 0:
            return None
        return f"heads: expected a divisor of the backbone's dim = {dim}, got {self.heads}"

    def build(self, dim: int, layers: int) -> MemoryAttention:
        """A projection, and cross-attention for each layer."""
        if problem := self._heads_fault(dim):
            raise InferenceError(problem)
        return MemoryAttention(
            dim, layers, width=self.dim, num_tokens=self.num_tokens, heads=self.heads
        )

    def open(
        self,
        surroundings: Surroundings,
        tokenizer: TrainedTokenizer,
        *,
        place: str | None = None,
        maker: str = "",
    ) -> MemorySource:
        """The store with its embedding.

        Raises:
            StorageError: there is none, or its vectors are not what the network has learned to
                read.
        """
        recall = Recall.open(
            self.place,
            surroundings.storage,
            surroundings.embedding,
            dim=self.dim,
            instead=place,
        )
        if maker and maker != recall.embedder.provider.fingerprint:
            raise StorageError(
                f"{recall.store.uri}: its vectors were made by another embedding than those that "
                "the network was trained with; expected memories of the same embedding"
            )
        return MemorySource(self, recall, tokenizer)


@frozen
class UsedMemory:
    """A memory that a text was written with."""

    id: Id
    text: str
    """Empty where the store keeps none."""
    score: float
    """Similarity to the prompt, by which it was found."""
    influence: float
    """How much it mattered: by how many nats the written tokens are less likely, in the network's
    first prediction, when it has all the others and not this one."""

    def __str__(self) -> str:
        """One line."""
        text = shorten(self.text, 60) or str(self.id)
        return f"score {self.score:.3f}, influence {self.influence:+.3f} nats: {text}"


class MemorySource(CueSource):
    """Finds memories for rows of text.

    In training as in sampling they are found by what stands in front alone: a search by the whole
    text would find those that hold the rest of it, which no prompt knows.
    """

    def __init__(self, settings: Memory, recall: Recall, tokenizer: TrainedTokenizer) -> None:
        self.recall, self._settings, self._tokenizer = recall, settings, tokenizer
        self.maker = recall.embedder.provider.fingerprint

    def fingerprint(self) -> str:
        """Of the ids and vectors in the store."""
        return self.recall.fingerprint()

    def for_training(self, ids: Tensor, random: Randomness) -> Memories:
        """Found by a beginning of random length, and none for some texts."""
        vocabulary = self._tokenizer.vocabulary
        begins = ids[:, 0] == vocabulary.bos_id  # which is no text to find anything by
        filling = (ids == vocabulary.eos_id) | (ids == vocabulary.pad_id)
        sizes = (~filling).sum(-1) - begins.long()
        lengths = begins.long() + 1 + (random.uniform()[:, 0] * sizes).long()
        nearest = self._nearest(ids, lengths.tolist())
        kept = random.uniform()[:, :1] >= self._settings.dropout
        return nearest.where(kept.numpy())

    def for_evaluation(self, ids: Tensor) -> Memories:
        """Found by the first half of each text."""
        return self._nearest(ids, [-(-ids.shape[1] // 2)] * len(ids))

    def for_sampling(self, given: Sequence[Sequence[int]], options: Mapping[str, Any]) -> Memories:
        """The memories nearest to the given tokens of each row.

        Args:
            given: at least one token of each row.
            options: ``k``, most memories of a text.

        Raises:
            InferenceError: nothing is given of a row, so there is nothing to find any by.
        """
        check_options(options, "k")
        k = options.get("k", self._settings.k)
        if type(k) is not int or k < 1:
            raise InferenceError(f"condition: k: expected a number of memories >= 1, got {k!r}")
        for number, row in enumerate(given):
            if not row:
                raise InferenceError(
                    f"conditioned: memories are found by what is given, and row {number} gives "
                    "nothing; expected a prompt"
                )
        # An index that was made is used; where there is none, approximate search is exact.
        approximate = "approximate" in self.recall.store.backend.capabilities
        prompts = [self._tokenizer.decode(list(row)) for row in given]
        return self.recall(prompts, k, exact=False if approximate else None)

    def used(
        self, cues: Memories, score: Callable[[Memories], NDArray[np.float64]]
    ) -> list[tuple[UsedMemory, ...]]:
        """What each memory did, by leaving it out: K + 1 evaluations of the network."""
        with_all = score(cues)
        places = np.arange(cues.valid.shape[1])
        drops = np.stack([with_all - score(cues.where(places != k)) for k in places], 1)
        return [
            tuple(
                UsedMemory(memory.id, memory.text, memory.score, float(drop))
                for memory, drop in zip(retrieved, row, strict=False)
            )
            for retrieved, row in zip(cues.rows, drops, strict=True)
        ]

    def _nearest(self, ids: Tensor, lengths: list[int]) -> Memories:
        texts = [
            self._tokenizer.decode(row[:length].tolist())
            for row, length in zip(ids, lengths, strict=True)
        ]
        # Exactly, for what is found must not depend on how an index was built.
        return self.recall(texts, self._settings.k, exact=True)
