"""How fast tokenizers are trained and applied, beside the peers that are installed.

    python tests/benchmarks/bench_tokenizer.py [--megabytes 30] [--rounds 5] [--peer gigatoken ...]
    python tests/benchmarks/bench_tokenizer.py --train bpe|tokenizers

One JSON object a measurement. Ours and each peer take turns in one process, on the sources of the
standard library (fewer of them where a peer would take minutes) and a vocabulary of 32,000 trained
on all of them; identical ids are asserted first. `ratio` compares best times; `cpu_ratio` compares
processor time, which other processes disturb less, and is for cases of one thread. Peers:
gigatoken, tiktoken, tokenizers, python and python-cached (a textbook's BPE, `tokenizer_peers.py`).
Each training has a process of its own; `kib` is what it took of memory at its peak, `peak_kib` the
process, texts included.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizer_peers import CL100K, PEERS

from aios_plugins._native import fast_tokenizer

PIECE = 1200
"""Characters of one of many documents."""

CASES = ("one document, cold", "one document, warm", "documents", "decode", "prompt")


def corpus(megabytes: float) -> list[str]:
    """Sources of the standard library."""
    texts: list[str] = []
    size = 0
    for path in sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py")):
        if "site-packages" in path.parts or size > megabytes * 1e6:
            continue
        try:
            texts.append(path.read_bytes().decode())
        except UnicodeDecodeError:
            continue
        size += path.stat().st_size
    return texts


def in_turn(ours: Callable[[], Any], peer: Callable[[], Any], rounds: int) -> dict[str, float]:
    """Best and median of several rounds, ours and the peer's one after the other."""
    wall: tuple[list[float], list[float]] = [], []
    processor: tuple[list[float], list[float]] = [], []
    for _ in range(rounds):
        for i, function in enumerate((ours, peer)):
            begun, busy = time.perf_counter(), time.process_time()
            function()
            wall[i].append(time.perf_counter() - begun)
            processor[i].append(time.process_time() - busy)
    return {
        "seconds": min(wall[0]),
        "peer_seconds": min(wall[1]),
        "ratio": min(wall[1]) / min(wall[0]),
        "median_ratio": statistics.median(wall[1]) / statistics.median(wall[0]),
        "cpu_ratio": min(processor[1]) / max(min(processor[0]), 1e-9),
    }


def control(rounds: int) -> float:
    """How much two threads do of what one does in the same time: gate two-thread figures on it."""
    from concurrent.futures import ThreadPoolExecutor

    data = bytes(16 << 20)
    with ThreadPoolExecutor(2) as pool:
        figures = in_turn(
            lambda: list(pool.map(hashlib.sha256, [data, data])),
            lambda: [hashlib.sha256(data), hashlib.sha256(data)],
            rounds,
        )
    return figures["ratio"]


def vocabularies(texts: Sequence[str], folder: Path) -> dict[str, Path]:
    """One file with GPT-2's pattern, one with GPT-4's."""
    trained = fast_tokenizer.Bpe.train(texts, vocab_size=32_000, min_frequency=1)
    file = json.loads(trained.to_json())
    paths = {"gpt2": folder / "gpt2.json", "gpt4": folder / "gpt4.json"}
    paths["gpt2"].write_text(json.dumps(file))
    level = file["decoder"] | {"use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": CL100K}, "behavior": "Isolated"}
    steps = [split | {"invert": False}, level]
    file["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": steps}
    paths["gpt4"].write_text(json.dumps(file))
    return paths


def train(name: str, megabytes: float) -> None:
    """One training in a process of its own: seconds, and what it took of memory at its peak."""
    texts = corpus(megabytes)
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    begun, busy = time.perf_counter(), time.process_time()
    if name == "bpe":
        file = fast_tokenizer.Bpe.train(texts, vocab_size=32_000, min_frequency=1).to_json()
    else:
        peer = importlib.import_module(name)
        tokenizer = peer.Tokenizer(peer.models.BPE())
        tokenizer.pre_tokenizer = peer.pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = peer.trainers.BpeTrainer(
            vocab_size=32_000,
            min_frequency=1,
            show_progress=False,
            special_tokens=list(fast_tokenizer.SPECIAL_TOKENS),
            initial_alphabet=peer.pre_tokenizers.ByteLevel.alphabet(),
        )
        tokenizer.train_from_iterator(texts, trainer)
        file = tokenizer.to_str()
    seconds, cpu = time.perf_counter() - begun, time.process_time() - busy
    peak = memory("VmHWM")
    merges = hashlib.sha256(json.dumps(json.loads(file)["model"]["merges"]).encode()).hexdigest()
    tell(
        "train 32000",
        by=name,
        seconds=seconds,
        cpu_seconds=cpu,
        kib=peak - before,
        peak_kib=peak,
        merges=merges[:12],
    )


def memory(entry: str) -> int:
    """A figure of this process, as Linux counts it, in KiB."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(entry))


def tell(case: str, **figures: Any) -> None:
    """Print one measurement."""
    rounded = {k: round(v, 5) if isinstance(v, float) else v for k, v in figures.items()}
    sys.stdout.write(json.dumps({"case": case, **rounded}) + "\n")
    sys.stdout.flush()


def compare(name: str, kind: str, file: Path, texts: Sequence[str], rounds: int) -> None:
    """All cases against one peer."""
    make = PEERS[name]
    peer = make(file)
    text = "".join(texts)
    text = text[: int(min(len(text), make.megabytes * 1e6))]
    size = len(text.encode()) / 1e6
    json_text = file.read_text()
    documents = [text[i : i + PIECE] for i in range(0, len(text), PIECE)]
    own = fast_tokenizer.Tokenizer(json_text, strict=True)
    ids: np.ndarray = own.encode(text)
    np.testing.assert_array_equal(ids, np.asarray(peer.encode(text)) + peer.shift)
    known = {"peer": name, "pattern": kind, "megabytes": size}

    cold: list[tuple[float, float]] = []
    for _ in range(rounds):
        fresh = fast_tokenizer.Tokenizer(json_text)
        fresh_peer = make(file)
        times = [time.process_time()]
        for function in (lambda: fresh.encode(text), lambda: fresh_peer.encode(text)):  # noqa: B023
            function()
            times.append(time.process_time())
        cold.append((times[1] - times[0], times[2] - times[1]))
    ours, theirs = min(a for a, _ in cold), min(b for _, b in cold)
    tell("one document, cold", **known, cpu_seconds=ours, cpu_ratio=theirs / ours)
    figures = in_turn(lambda: own.encode(text), lambda: peer.encode(text), rounds)
    tell("one document, warm", **known, **figures)
    for threads in (1, 2):
        figures = in_turn(
            lambda: own.encode_batch(documents, threads=threads),  # noqa: B023
            lambda: peer.batch(documents, threads),  # noqa: B023
            rounds,
        )
        scale = {"control": control(3)} if threads > 1 else {}
        tell(f"{len(documents)} documents, {threads} threads", **known, **scale, **figures)
    figures = in_turn(lambda: own.decode_bytes(ids), lambda: peer.decode(ids - peer.shift), rounds)
    tell("decode", **known, **figures)
    prompt = text[5000:5100]

    times = 10_000 if name in {"gigatoken", "tiktoken"} else 1000

    def many(function: Callable[[str], Any]) -> None:
        for _ in range(times):
            function(prompt)

    figures = in_turn(lambda: many(own.encode), lambda: many(peer.encode), rounds)
    tell(f"prompt of 100 characters, {times} times", **known, **figures)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer", action="append", choices=PEERS)
    parser.add_argument("--train", metavar="NAME")
    options = parser.parse_args()
    if options.train:
        train(options.train, options.megabytes)
        return
    texts = corpus(options.megabytes)
    with tempfile.TemporaryDirectory() as folder:
        files = vocabularies(texts, Path(folder))
        for name in () if options.peer else ("bpe", "tokenizers"):
            command = [sys.executable, __file__, "--train", name]
            command += ["--megabytes", str(options.megabytes)]
            subprocess.run(command, check=False)
        for name in options.peer or PEERS:
            for kind, file in files.items():
                try:
                    compare(name, kind, file, texts, options.rounds)
                except ImportError:
                    tell("not installed", peer=name)
                    break


if __name__ == "__main__":
    main()
