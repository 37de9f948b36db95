"""What the approximate caches cost in quality, on a trained network.

    make bench AREA=caching                             # trains a small pair first, some minutes
    make bench AREA=caching ARGS='--run runs/tinyshakespeare-diffusion'

Held-out prompts are continued block by block from the same seeds without a cache, with the prefix
cache and with the dual one (Fast-dLLM, arXiv 2505.22618). `agreement` is the share of tokens that
are those of the run without a cache, `until` how many come before the first that is not; where one
differs, all after it may. `twin_nll` is the loss of the autoregressive twin on the continuations in
nats a token, with its standard error over texts and `held_out_nll` of the true ones beside it;
`entropy` is that of the tokens of each text. At temperature 0 a low one means repetition.
"""

import argparse
import tempfile
from pathlib import Path

import torch
from record import Recorder
from result import Value

from aios_core.config import resolve, twin
from aios_core.contracts import Estimate, Sequences
from aios_core.diffusion.objective import nll
from aios_core.inference import ArrowEngine
from aios_core.training.data import prepare
from aios_core.training.trainer import train

CACHES = ("none", "prefix", "dual")
SAMPLERS = {"confidence": {"num_inference_steps": 16}, "threshold": {}}


def trained(folder, steps):
    """A small network and its twin, on the documentation inside Python."""
    resolved = resolve(
        {
            "tokenizer": {"type": "bytes"},
            "backbone": {"type": "transformer", "dim": 96, "layers": 3, "heads": 3},
            "diffusion": {"length": 65},  # a begin token, and as many as a text has
            "training": {
                "steps": steps,
                "batch_size": 16,
                "learning_rate": 3e-3,
                "warmup_steps": 50,
                "ema_decay": 0.99,
                "evaluate_every": steps,
            },
        }
    )
    train(resolved, folder, progress=False)
    train(twin(resolved), folder / "twin", progress=False)
    return folder


def continuations(model, ids, prompt):
    """Nats a token of what stands behind the prompts, row by row."""
    rows = torch.tensor(ids)
    with torch.no_grad():
        whole, head = (
            nll(model, Sequences(each, torch.ones_like(each, dtype=torch.bool)))
            for each in (rows, rows[:, :prompt])
        )
    return ((whole - head) / (rows.shape[1] - prompt)).tolist()


def entropy(row):
    """Of the tokens of one text, in nats."""
    share = torch.tensor(row).unique(return_counts=True)[1].double() / len(row)
    return float(torch.special.entr(share).sum())


def compare(record, engine, prompts, truth, given, **options):
    """One sampler and block size, with each cache."""
    judge = engine.models["ar"].model
    expected = plain = None
    held_out = Estimate.ratio(continuations(judge, truth, given.prompt), [1.0] * len(truth)).value
    for cache in CACHES:
        output = engine.diffuse(
            prompts, seed=0, cache=cache, ignore_eos=True,
            max_new_tokens=given.length - given.prompt, **options,
        )  # fmt: skip
        rows = [row[given.prompt :] for row in output.token_ids]
        expected = expected or rows
        same = [
            [a == b for a, b in zip(row, other, strict=True)]
            for row, other in zip(rows, expected, strict=True)
        ]
        quality = Estimate.ratio(
            continuations(judge, output.token_ids, given.prompt), [1.0] * len(rows)
        )
        temperature, block = options["temperature"], options["block_size"]
        at = f"temperature {temperature:g}, block {block}"
        texts = f"{len(rows)} prompts of {given.prompt} tokens continued to {given.length}"
        how = f"{texts}; {'the run given' if given.run else f'{given.steps} training steps'}"
        calls = {"calls": output.nfe, "entropy": sum(map(entropy, rows)) / len(rows)}
        plain = quality.value if cache == "none" else plain
        name = {"none": "no cache"}.get(cache, f"{cache} cache")
        record(
            f"{options['sampler']}, {name}: loss of the twin",
            Value(quality.value, quality.value - quality.stderr, quality.value + quality.stderr),
            at=at,
            unit="nats a token",
            peers={} if cache == "none" else {"ours, no cache": plain},
            how=f"{how}; interval: one standard error over texts",
            held_out_nll=held_out,
            **calls,
        )
        if cache != "none":
            record(
                f"{options['sampler']}, {name}: tokens as without a cache",
                100 * sum(map(sum, same)) / sum(map(len, same)),
                at=at,
                unit="%",
                better="higher",
                headline=options["sampler"] == "confidence",
                how=how,
                until=sum((*each, False).index(False) for each in same) / len(same),
                **calls,
            )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, help="a run with its twin; unset: train a small one")
    parser.add_argument("--steps", type=int, default=800, help="of that training")
    parser.add_argument("--texts", type=int, default=32, help="prompts to continue")
    parser.add_argument("--prompt", type=int, default=24, help="tokens of a prompt")
    parser.add_argument("--length", type=int, default=64, help="tokens of a text, its prompt too")
    parser.add_argument("--blocks", type=int, nargs="*", default=[8, 20], help="sizes of blocks")
    given = parser.parse_args()
    torch.set_num_threads(1)
    record = Recorder("caching")
    with tempfile.TemporaryDirectory() as folder:
        run = given.run or trained(Path(folder) / "run", given.steps)
        engine = ArrowEngine.load(run)
        windows, _ = prepare(engine.models["diffusion"].resolved).held_out.windows(
            given.length, given.texts
        )
        truth = [row for row in windows.tolist() if len(row) == given.length]
        prompts = [row[: given.prompt] for row in truth]
        for temperature in (0.0, 1.0):
            for name, settings in SAMPLERS.items():
                for size in given.blocks:
                    compare(
                        record, engine, prompts, truth, given, sampler=name, block_size=size,
                        temperature=temperature, **settings,
                    )  # fmt: skip


if __name__ == "__main__":
    main()
