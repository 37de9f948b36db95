"""How fast vectors are searched and stored, beside the peers that are installed.

    make bench AREA=vector ARGS='--case exact --engines ours numpy --rows 1000000'

Every case runs in a fresh process for each number of threads, for several OpenMP runtimes in one
process spin against each other; with more than one thread each engine has a process of its own.
Within a process engines take turns on the same data. Peers: numpy, torch, faiss, usearch, hnswlib,
sqlite, lancedb.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from record import Recorder
from vector_results import Results

CASES = {
    "exact": "numpy torch faiss usearch lancedb",
    "batch": "numpy torch faiss usearch lancedb",
    "graph": "faiss hnswlib usearch",
    "filter": "faiss",
    "churn": "hnswlib usearch",
    "commit": "sqlite lancedb",
    "open": "lancedb",
}
"""Peers of each case, beside ours."""

MODULES = {"sqlite": "sqlite3"}

HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""Numpy and we ask for huge pages; without this, others would be measured by their allocator."""


def main() -> None:
    """Run each case in processes of their own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--case", nargs="*", choices=CASES, default=list(CASES))
    parser.add_argument("--rows", type=int, help="of exact search; 1,000,000 without it")
    parser.add_argument(
        "--vectors", type=Path, help="(N, D) float32 instead of synthetic: see vector_embeddings.py"
    )
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--engines", nargs="*", help="some of them; all that are installed without")
    options = parser.parse_args()
    kind = "synthetic" if options.vectors is None else "real"
    results = Results(Recorder("vector"), kind)
    for case in options.case:
        engines = ["ours", *(p for p in CASES[case].split() if _installed(p))]
        if options.engines is not None:
            engines = [name for name in engines if name in options.engines]
        for threads in options.threads:
            groups = [engines] if threads == 1 else [[name] for name in engines]
            lines = [line for group in groups for line in _run(case, group, threads, options)]
            results(case, threads, lines)


def _installed(peer: str) -> bool:
    return importlib.util.find_spec(MODULES.get(peer, peer)) is not None


def _run(
    case: str, engines: list[str], threads: int, options: argparse.Namespace
) -> list[dict[str, Any]]:
    number = str(threads)
    variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
    job = {
        "case": case,
        "engines": engines,
        "threads": threads,
        "rows": options.rows,
        "vectors": None if options.vectors is None else str(options.vectors.absolute()),
    }
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("vector_cases.py"), json.dumps(job)],
        env=os.environ | dict.fromkeys(variables, number) | HUGE_PAGES,
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        sys.exit(f"case {case} with {engines} failed")
    return [json.loads(line) for line in done.stdout.splitlines()]


if __name__ == "__main__":
    main()
