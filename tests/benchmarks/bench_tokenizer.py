"""How fast tokenizers are trained and applied, beside the peers that are installed.

    make bench AREA=tokenizer ARGS='--megabytes 30 --rounds 5 --peer gigatoken'

Ours and each peer take turns in one process, on the sources of the standard library (fewer of them
where a peer would take minutes) and a vocabulary of 32,000 trained on all of them; identical ids
are asserted first. Ratios compare best times; `cpu_ratio` compares processor time, which other
processes disturb less, and is for cases of one thread. Peers: gigatoken, tiktoken, tokenizers,
python and python-cached (a textbook's BPE, `tokenizer_peers.py`). Each training has a process of
its own, `--train bpe` or `--train tokenizers`, which prints one JSON object; `kib` is the memory
at its peak beyond the texts.
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
from record import Recorder
from result import Bar
from tokenizer_peers import CL100K, PEERS

from aios_plugins._native import fast_tokenizer

PIECE = 1200
"""Characters of one of many documents."""

PATTERNS = {"gpt2": "GPT-2's pattern", "gpt4": "GPT-4's pattern"}


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
    line = {"seconds": seconds, "cpu_s": cpu, "mib": (peak - before) / 1024, "merges": merges[:12]}
    sys.stdout.write(json.dumps(line) + "\n")


def learn(record: Recorder, megabytes: float) -> None:
    """Ours and the reference learn a vocabulary, each in a process of its own."""
    lines = {}
    for name in ("bpe", "tokenizers"):
        command = [sys.executable, __file__, "--train", name, "--megabytes", str(megabytes)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            record.skip(f"learning by {name}", done.stderr.strip().rsplit("\n", 1)[-1])
            return
        lines[name] = json.loads(done.stdout)
    ours, peer = lines["bpe"], lines["tokenizers"]
    what, how = f"learn 32,000 tokens from {megabytes:g} MB", "once, a process each; "
    how += "the same merges" if ours["merges"] == peer["merges"] else "other merges"
    for case, key, unit in (
        ("wall-clock time", "seconds", "s"),
        ("processor time", "cpu_s", "s"),
        ("memory at the peak beyond the texts", "mib", "MiB"),
    ):
        record(
            f"{what}, {case}",
            ours[key],
            unit=unit,
            peers={"tokenizers": peer[key]},
            headline=key == "seconds",
            how=how,
        )


def memory(entry: str) -> int:
    """A figure of this process, as Linux counts it, in KiB."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(entry))


def bar(name: str, kind: str, case: str) -> Bar | None:
    """Only the fastest peer has one."""
    if name != "gigatoken":
        return None
    if kind == "gpt4" or case == "decode":
        return Bar("ratio", least=1.1)
    return Bar("ratio", least=1.3 if "two threads" in case else 1.2)


def compare(
    record: Recorder, name: str, kind: str, file: Path, texts: Sequence[str], *, rounds: int
) -> None:
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

    def tell(case: str, figures: dict[str, float], **details: float) -> None:
        """Record one case."""
        figures = dict(figures)
        unit, scale = ("us", 1e6) if case.startswith("a prompt") else ("ms", 1e3)
        record(
            f"{case} beside {name}",
            scale * figures.pop("seconds"),
            at=PATTERNS[kind],
            unit=unit,
            peers={name: scale * figures.pop("peer_seconds")},
            bar=bar(name, kind, case),
            headline=name == "gigatoken" or (name == "tokenizers" and "cold" in case),
            how=f"{size:.1f} MB, 32,000 tokens; best of {rounds} rounds by turns, identical ids",
            **{k: v for k, v in figures.items() if k != "ratio"},
            **details,
        )

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
    figures = {"seconds": ours, "peer_seconds": theirs}
    tell("one document, cold, processor time", figures)
    figures = in_turn(lambda: own.encode(text), lambda: peer.encode(text), rounds)
    tell("one document, warm", figures)
    for threads in (1, 2):
        figures = in_turn(
            lambda: own.encode_batch(documents, threads=threads),  # noqa: B023
            lambda: peer.batch(documents, threads),  # noqa: B023
            rounds,
        )
        scale = {"control": control(3)} if threads > 1 else {}
        case = {1: "one thread", 2: "two threads"}[threads]
        tell(f"documents of {PIECE:,} characters, {case}", figures, **scale)
    figures = in_turn(lambda: own.decode_bytes(ids), lambda: peer.decode(ids - peer.shift), rounds)
    tell("decode", figures)
    prompt = text[5000:5100]

    times = 10_000 if name in {"gigatoken", "tiktoken"} else 1000

    def many(function: Callable[[str], Any]) -> None:
        for _ in range(times):
            function(prompt)

    figures = in_turn(lambda: many(own.encode), lambda: many(peer.encode), rounds)
    for key in ("seconds", "peer_seconds"):
        figures[key] /= times
    tell("a prompt of 100 characters", figures)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer", action="append", choices=PEERS)
    parser.add_argument("--train", metavar="NAME")
    options = parser.parse_args()
    if options.train:
        train(options.train, options.megabytes)
        return
    record = Recorder("tokenizer")
    texts = corpus(options.megabytes)
    with tempfile.TemporaryDirectory() as folder:
        files = vocabularies(texts, Path(folder))
        if not options.peer:
            learn(record, options.megabytes)
        for name in options.peer or PEERS:
            for kind, file in files.items():
                try:
                    compare(record, name, kind, file, texts, rounds=options.rounds)
                except ImportError:
                    record.skip(name, "it is not installed")
                    break


if __name__ == "__main__":
    main()
