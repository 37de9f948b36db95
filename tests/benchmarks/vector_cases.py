"""One case of `bench_vector`, in one process; `bench_vector` starts it."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import vector_engines
import vector_stores
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def clustered(rows: int, dim: int = 384, seed: int = 0) -> Floats:
    """Unit vectors near 1,000 centres, as embeddings lie near topics."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(1000, dim)).astype(np.float32)
    out = np.empty((rows, dim), np.float32)
    for start in range(0, rows, 50_000):
        part = out[start : start + 50_000]
        noise = random.standard_normal(part.shape, np.float32)
        part[:] = centres[random.integers(0, 1000, len(part))] + 0.7 * noise
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return out


def vectors(job: dict[str, Any], rows: int, queries: int) -> tuple[Floats, Floats]:
    """Rows to search, and queries that are none of them."""
    if job["vectors"] is None:
        return clustered(rows), clustered(queries, seed=1)
    given = np.load(job["vectors"]).astype(np.float32)
    given /= np.linalg.norm(given, axis=1, keepdims=True)
    order = np.random.default_rng(0).permutation(len(given))
    chosen = given[order]
    return np.ascontiguousarray(chosen[queries:]), np.ascontiguousarray(chosen[:queries])


def in_turn(ways: dict[str, Callable[[], Any]], rounds: int) -> Iterator[dict[str, Any]]:
    """Times of several ways that take turns."""
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            start, busy = time.perf_counter(), time.process_time()
            way()
            if turn:  # the first one warms up
                wall[name].append(time.perf_counter() - start)
                cpu[name].append(time.process_time() - busy)
    for name in ways:
        yield {
            "engine": name,
            "best_ms": 1e3 * min(wall[name]),
            "median_ms": 1e3 * statistics.median(wall[name]),
            "cpu_ms": 1e3 * min(cpu[name]),
        }


def recall(truth: NDArray[np.int64], nearest: NDArray[np.int64]) -> float:
    """The share of the true neighbours that was found."""
    hits = [len(set(a) & set(b)) for a, b in zip(truth.tolist(), nearest.tolist(), strict=True)]
    return sum(hits) / truth.size


def exact(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One query over everything."""
    base, queries = vectors(job, job["rows"] or 1_000_000, 200)
    yield {"size": len(base)}
    ways = vector_engines.exact(base, queries[0], job["engines"])
    with vector_stores.searchers(base, queries[0], job["engines"]) as more:
        yield from in_turn(ways | more, 7)
    if "ours" in job["engines"]:
        asked = queries if len(base) < 100_000 else queries[:8]
        codes = vector_engines.Int8Codes(base, metric="inner_product")
        result = codes.search(base, asked, 10, candidates=40)[1]
        hit = recall(vector_engines.truth(base, asked), result)
        yield {"engine": "ours int8", "queries": len(asked), "recall": hit}


def batch(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """64 queries at once over everything."""
    base, queries = vectors(job, job["rows"] or 1_000_000, 64)
    yield {"size": len(base)}
    ways = vector_engines.batch(base, queries, job["engines"])
    with vector_stores.searchers(base, queries, job["engines"]) as more:
        for line in in_turn(ways | more, 3):
            yield line | {"queries_per_s": 64e3 / line["best_ms"]}


def graph(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Build, and search at several widths."""
    base, queries = vectors(job, 48_000, 500)
    yield {"size": len(base)}
    truth = vector_engines.truth(base, queries)
    built = {}
    for engine in job["engines"]:
        start, busy = time.perf_counter(), time.process_time()
        built[engine] = vector_engines.Graph(engine, base, job["threads"])
        yield {
            "engine": engine,
            "build_s": time.perf_counter() - start,
            "build_cpu_s": time.process_time() - busy,
        }
    if job["threads"] > 1:
        return
    curves: dict[str, list[tuple[float, float]]] = {name: [] for name in built}
    for width in (16, 32, 64, 128, 256, 512):
        ways = {
            name: lambda each=each, width=width: [each.search(q, width) for q in queries]
            for name, each in built.items()
        }
        for line in in_turn(ways, 5):
            result = np.array([built[line["engine"]].search(q, width) for q in queries])
            times = {key: line[key] / len(queries) for key in ("best_ms", "median_ms", "cpu_ms")}
            hit = recall(truth, result)
            curves[line["engine"]].append((hit, times["best_ms"]))
            yield line | times | {"width": width, "recall": hit}
    for name, curve in curves.items():
        for expected in (0.977, 0.991):
            yield {"engine": name, "at_recall": expected, "best_ms": _between(curve, expected)}


def _between(curve: list[tuple[float, float]], expected: float) -> float | None:
    """The time at a recall between two that were measured: a line through their logarithms."""
    for (low, before), (high, after) in pairwise(curve):
        if low <= expected <= high and low < high:
            share = (expected - low) / (high - low)
            return float(before ** (1 - share) * after**share)
    return None


def filtered(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Search among a part of the rows."""
    base, queries = vectors(job, 48_000, 200)
    yield {"size": len(base)}
    built = {
        engine: vector_engines.Graph(engine, base, job["threads"]) for engine in job["engines"]
    }
    for share in (0.5, 0.1, 0.01, 0.001):
        keep = np.random.default_rng(7).random(len(base)) < share
        truth = vector_engines.truth(base, queries, keep)
        for name, each in built.items():
            start = time.perf_counter()
            results = [each.search(query, 64, keep) for query in queries]
            took = time.perf_counter() - start
            counts = [int((row >= 0).sum()) for row in results]
            yield {
                "engine": name,
                "share": share,
                "recall": recall(truth, np.array(results)),
                "results": statistics.mean(counts),
                "best_ms": 1e3 * took / len(queries),
            }


def churn(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Ten rounds in which a fifth of the rows is replaced.

    At the end each row is searched by its own vector, and is lost if a wide walk does not meet it.
    """
    base, queries = vectors(job, 40_000, 200)
    yield {"size": len(base)}
    for engine in job["engines"]:
        before = vector_stores.resident()["RssAnon"]
        for turn, (graph, inside) in enumerate(vector_engines.churn(engine, base, job["threads"])):
            result = np.array([graph.search(query, 64) for query in queries])
            hit = recall(vector_engines.truth(base, queries, inside), result)
            grown = vector_stores.resident()["RssAnon"] - before
            yield {"engine": engine, "round": turn, "recall": hit, "mb": grown}
        rows = np.flatnonzero(inside).tolist()
        lost = sum(row not in graph.search(base[row], 256) for row in rows)
        yield {"engine": engine, "rows": len(rows), "lost": lost}


def commit(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Durable commits of 1, 100 and 10,000 rows; and one that comes after a flush."""
    for rows, rounds in ((1, 200), (100, 50), (10_000, 14)):
        data = clustered(rows)
        with vector_stores.writers(data, job["engines"], rounds + 1) as ways:
            for line in in_turn(ways, rounds):
                yield line | {"batch": rows, "rows_per_s": 1e3 * rows / line["median_ms"]}
    with vector_stores.flushed(1_000_000) as ways:
        *_, after = in_turn(ways, 7)
        yield after | {"batch": 1000, "rows": 1_000_000}


def opened(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """From a closed store to the first answer, in a process that has read it before."""
    base, queries = vectors(job, job["rows"] or 1_000_000, 1)
    yield {"size": len(base)}
    with vector_stores.openers(base, queries[0], job["engines"]) as (ways, folder):
        yield from in_turn(ways, 3)
        if "ours" in job["engines"]:
            yield from vector_stores.touched(folder)


RUN = {
    "exact": exact,
    "batch": batch,
    "graph": graph,
    "filter": filtered,
    "churn": churn,
    "commit": commit,
    "open": opened,
}


def main() -> None:
    """Print the lines of one job."""
    job = json.loads(sys.argv[1])
    shown = {"case": job["case"], "threads": job["threads"], "level": vector_engines.level()}
    for line in RUN[job["case"]](job):
        rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()}
        print(json.dumps(shown | rounded), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
