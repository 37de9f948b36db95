"""How fast BPE is trained and applied: one JSON object a measurement."""

import json
import sys
import time
from collections.abc import Callable
from pydoc_data.topics import topics
from typing import Any

from aios_plugins.tokenizers.bpe import Bpe

REPEATS = 5


def report(name: str, megabytes: float, function: Callable[[], Any]) -> None:
    """Print the best of several runs."""
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    best = min(seconds)
    record = {"name": name, "seconds": best, "megabytes_per_second": megabytes / best}
    sys.stdout.write(json.dumps(record) + "\n")


def main() -> None:
    """Measure on the language reference of Python, and on twenty times as much in batches."""
    texts = [topics[name] for name in sorted(topics)]
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    tokenizer = Bpe(vocab_size=4096).train(texts)
    ids = [tokenizer.encode(text) for text in texts]
    report("bpe.train", megabytes, lambda: Bpe(vocab_size=4096).train(texts))
    report("bpe.encode", megabytes, lambda: [tokenizer.encode(text) for text in texts])
    report("bpe.encode_each", 20 * megabytes, lambda: tokenizer.encode_each(texts * 20))
    report("bpe.decode", megabytes, lambda: tokenizer.decode_batch(ids))


if __name__ == "__main__":
    main()
