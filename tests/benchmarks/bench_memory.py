"""How long conditioning on memories takes: embed a prompt, retrieve K memories, project them.

    make bench AREA=memory ARGS='--rows 100000 --rounds 50'

The store is of our own backend and holds sentences about people who do not exist, embedded by
``hashing``; it is searched exactly, and by the graph that compacting it makes. Values are medians
of processor time, which other processes disturb less than wall-clock time. The recall of the graph
is measured over 200 prompts.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import torch
from record import Recorder
from result import Bar

from aios_core.config import resolve
from aios_core.contracts import store_schema
from aios_core.diffusion.model import Model
from aios_core.memory import Embedder, Place, open_store, with_embedding_metadata

PROMPT = "The colour of Marbelor is"
SYLLABLES = "bel bor dan dor eth fal fen gar gul hal jor kal lan mar nim quin zor"
RELATIONS = "colour home trade friend river language"
VALUES = "amber Bergen smith Orla Neckar Welsh olive Quito pilot Ines Loire Basque"


def sentence(number: int) -> str:
    """The same for the same number."""
    syllables, relations, values = (words.split() for words in (SYLLABLES, RELATIONS, VALUES))
    who = "".join(syllables[number // 17**place % 17] for place in range(4)).capitalize()
    relation, value = relations[number % len(relations)], values[number * 7919 % len(values)]
    return f"The {relation} of {who} is {value}."


def filled(record: Recorder, folder: Path, rows: int, dim: int) -> str:
    """A store of sentences."""
    resolved = resolve({})
    place = Place(resolved.config.storage, str(folder / "store"))
    schema = with_embedding_metadata(
        store_schema(dim), resolved.config.embedding, resolved.values["embedding"]
    )
    with open_store(place, schema=schema) as store:
        for start in range(0, rows, 10_000):
            count = min(10_000, rows - start)
            texts = [sentence(start + i) for i in range(count)]
            vectors = resolved.config.embedding.embed(texts)
            flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), dim)
            ids = pa.array([str(start + i) for i in range(count)])
            store.add(pa.table({"id": ids, "text": pa.array(texts), "vector": flat}))
        began = time.perf_counter()
        store.compact()
        record(
            f"compact a store of {rows:,} memories of dimension {dim}",
            time.perf_counter() - began,
            unit="s",
            how="once, wall-clock time",
        )
    return place.uri


def timed(record: Recorder, name: str, rounds: int, work, bar: Bar | None = None) -> None:
    """Record the medians of a part."""
    wall, cpu = [], []
    for number in range(rounds + 3):
        began, spent = time.perf_counter(), time.process_time()
        work()
        if number >= 3:
            wall.append((time.perf_counter() - began) * 1e3)
            cpu.append((time.process_time() - spent) * 1e3)
    record(
        name,
        statistics.median(cpu),
        unit="ms",
        bar=bar,
        headline=bar is not None and name != "project 8 memories",
        how=f"median processor time of {rounds} rounds; a network of 4 layers x 128",
        wall_median_ms=statistics.median(wall),
        wall_best_ms=min(wall),
    )


def main() -> None:
    """Fill a store, and time each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=50)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    record = Recorder("memory")
    of, bar = f"8 of {arguments.rows:,} memories", Bar("ours", most=10)
    with tempfile.TemporaryDirectory() as temporary, torch.no_grad():
        uri = filled(record, Path(temporary), arguments.rows, 384)
        resolved = resolve(
            {
                "conditioner": {"type": "memory", "k": 8, "store": uri},
                "tokenizer": {"type": "bytes"},
            }
        )
        config = resolved.config
        tokenizer = config.tokenizer.train([])
        model = Model.build(config, tokenizer.vocabulary).eval()
        recall = config.conditioner.open(config, tokenizer).recall
        embedder: Embedder = recall.embedder
        memories = recall([PROMPT], 8)
        rounds = arguments.rounds
        timed(
            record, "embed the prompt", rounds, lambda: embedder.embed([PROMPT], side="query"), bar
        )
        for exact, by in ((True, "exactly"), (False, "by the graph")):
            timed(
                record,
                f"embed the prompt and search {of} {by}",
                rounds,
                lambda exact=exact: recall([PROMPT], 8, exact=exact),
            )
        timed(record, "project 8 memories", rounds, lambda: model.conditioned(memories), bar)
        for exact, by in ((True, "exactly"), (False, "by the graph")):
            timed(
                record,
                f"embed, search {of} {by}, and project",
                rounds,
                lambda exact=exact: model.conditioned(recall([PROMPT], 8, exact=exact)),
                bar,
            )
        prompts = [sentence(number).rsplit(" ", 1)[0] for number in range(7, 200 * 97, 97)]
        best, graph = (recall(prompts, 8, exact=exact).rows for exact in (True, False))
        pairs = zip(best, graph, strict=True)
        shared = [len({m.id for m in a} & {m.id for m in b}) for a, b in pairs]
        record(
            f"of the 8 nearest of {arguments.rows:,}, those that the graph finds",
            statistics.fmean(shared),
            unit="memories",
            better="higher",
            how="mean over 200 prompts; sentences that are nearly alike",
        )


if __name__ == "__main__":
    main()
