"""The areas of `make bench`, in the order of BENCHMARKS.md, and what runs one or all of them.

    python tests/benchmarks/areas.py             # lists the areas
    python tests/benchmarks/areas.py AREA ...    # measures one or all, and writes BENCHMARKS.md

`make bench AREA=name ARGS=...` is the same.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

AREAS = {
    "startup": "Start-up, the demo and the tests",
    "tokenizer": "Tokenizers",
    "vector": "Vectors: search and storage",
    "weights": "Weight files",
    "quant": "Quantized weights",
    "samplers": "How exact the samplers are",
    "sampling": "Sampling speed",
    "caching": "What the approximate caches cost",
    "training": "Training throughput",
    "models": "Models: diffusion beside autoregressive",
    "memory": "Memories and uncertainty",
    "evolution": "Evolution levels",
}
"""Name to title; those without a `bench_NAME.py` are measured by hand."""


def bench(area: str) -> Path | None:
    """The script that measures an area; None of those measured by hand."""
    path = HERE / f"bench_{area}.py"
    return path if path.exists() else None


def main() -> None:
    """List the areas, or measure some and write the page."""
    measured = [area for area in AREAS if bench(area)]
    if len(sys.argv) < 2:
        lines = (f"  {area:<11} {AREAS[area]}" for area in measured)
        sys.stdout.write("\n".join(["areas, each as in `make bench AREA=name`:", *lines]))
        sys.stdout.write(f"\n  {'all':<11} every one of them, one after another\n")
        return
    area, *arguments = sys.argv[1:]
    if area != "all" and area not in measured:
        sys.exit(f"expected an area, {', '.join(measured)} or all, got {area!r}")
    if area == "all" and arguments:
        sys.exit(f"expected no ARGS with all, for areas take different ones, got {arguments}")
    failed = []
    for name in measured if area == "all" else [area]:
        done = subprocess.run([sys.executable, str(bench(name)), *arguments], check=False)
        if done.returncode:
            failed.append(name)
    subprocess.run([sys.executable, str(HERE / "report.py")], check=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; what they measured before that is kept")


if __name__ == "__main__":
    main()
