"""The skills of a run in a vector store, where they are found by context.

The journal alone says which skills there are; the store is made to agree with it whenever it is
asked, so it can be deleted, moved to another backend, or fall behind without harm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aios_core.contracts import store_schema
from aios_core.errors import StorageError
from aios_core.memory import Embedder, Place, open_store, with_embedding_metadata
from aios_core.memory.opening import embedder_of

if TYPE_CHECKING:
    from aios_core.config import Resolved
    from aios_core.contracts import VectorStore
    from aios_plugins.evolution.card import Card
    from aios_plugins.evolution.journal import Journal


def find_skills(
    journal: Journal, resolved: Resolved, context: str, *, k: int = 10, place: Place | None = None
) -> list[tuple[Card, float]]:
    """Skills by how near their name and description are to a context, the nearest first.

    Args:
        journal: of the run; skills that were revoked are not found.
        resolved: its ``[storage]`` and ``[embedding]`` count.
        context: in plain words.
        k: at most so many.
        place: of the store, which holds skills and nothing else; unset: ``index`` beside the
            journal, in the backend of ``[storage]``.

    Returns:
        Cards, each with its similarity.

    Raises:
        EvolutionError: a card is damaged.
        StorageError: the store cannot be used, holds anything but skills, or was filled by another
            embedding.
    """
    cards = {card.skill_id: card for card in journal.versions() if not card.revoked}
    if not cards:
        return []
    provider = resolved.config.embedding
    place = place or Place(resolved.config.storage, str(journal.folder / "index"))
    schema = store_schema(provider.dim, {"name": "string", "level": "string"})
    schema = with_embedding_metadata(schema, provider, resolved.values["embedding"])
    with open_store(place, schema=schema) as store:
        if store.schema.names != schema.names:  # what it holds is no skill, and would be deleted
            raise StorageError(
                f"{store.uri}: expected a store of skills, or a place where nothing is, got one "
                f"with the columns {', '.join(store.schema.names)}"
            )
        embedder = embedder_of(store.schema, provider)
        _synchronise(store, embedder, list(cards.values()))
        (query,) = embedder.embed([context], side="query")
        nearest = store.search(query, min(k, len(cards)), columns=["id"])
    pairs = zip(nearest.column("id").to_pylist(), nearest.column("_score").to_pylist(), strict=True)
    return [(cards[skill_id], score) for skill_id, score in pairs]


def _synchronise(store: VectorStore, embedder: Embedder, cards: list[Card]) -> None:
    """Synchronise the vector index with the journal: these cards, as they are now, alone."""
    texts = {card.skill_id: f"{card.name}: {card.description}" for card in cards}
    held = {
        skill_id: text
        for batch in store.to_batches(columns=["id", "text"])
        for skill_id, text in zip(
            *(batch.column(c).to_pylist() for c in ("id", "text")), strict=True
        )
    }
    if gone := [skill_id for skill_id in held if skill_id not in texts]:
        store.delete(gone)
    new = [card for card in cards if held.get(card.skill_id) != texts[card.skill_id]]
    if new:
        vectors = embedder.embed([texts[card.skill_id] for card in new])
        store.upsert(
            [
                {
                    "id": card.skill_id,
                    "text": texts[card.skill_id],
                    "name": card.name,
                    "level": card.level,
                    "vector": vector,
                }
                for card, vector in zip(new, vectors, strict=True)
            ]
        )
