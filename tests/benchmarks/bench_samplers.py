"""How far from the model's joint each sampler's texts are.

    make bench AREA=samplers ARGS='--rows 20000 ancestral'

The model is an oracle with exact conditionals of an enumerated joint, so the total variation is
the sampler's own doing; independent samples of the joint itself are at the floor. Samplers without
a number of steps take as many as they need: `calls` are those of the text that needs most, and
`mean_steps` says after how many steps a text was complete.
"""

import argparse
import time

import attrs
import torch
from record import Recorder

from aios_core.contracts import Sampler
from aios_core.diffusion.blocks import Blocks
from aios_core.diffusion.core import DiffusionCore
from aios_core.registry import Registry
from aios_core.testing.conformance import tokens
from aios_core.testing.oracle import NoisyOracle, Oracle

STEPS = (1, 2, 5, 20, 200)
SETTINGS = {
    "confidence": [
        {"measure": measure, "selection": selection}
        for measure in ("probability", "margin", "entropy")
        for selection in ("choose-then-sample", "sample-then-choose")
    ],
    "entropy-bounded": [{"gamma": gamma} for gamma in (0.0, 0.1, 0.5, 2.0, 100.0)],
    "euler": [{"jump": jump} for jump in ("linear", "exponential")],
    "factor": [{"factor": factor} for factor in (0.0, 1.0, 2.0)],
    "threshold": [{"tau": tau} for tau in (0.5, 0.9, 1.0)],
}
"""Settings to measure besides the number of steps, where the defaults alone say too little."""
BATCH = 20_000

HEADLINES = ("ancestral, masks", "confidence (measure probability, ")
"""Beginnings of what the page shows: without and with an order, chosen in two ways."""


def measure(
    record: Recorder,
    name: str,
    settings: dict[str, object],
    sampler: Sampler,
    rows: int,
    *,
    corruption: str = "absorbing",
) -> None:
    """Sample and record."""
    registry = Registry.discover()
    noise = registry.get("noise", "loglinear").load()(eps=0.0)
    oracle = Oracle()
    if corruption != "absorbing":
        oracle = NoisyOracle(registry.get("corruption", corruption).load()(), noise)
    core = DiffusionCore(oracle, sampler, noise, oracle.mask_id, process=oracle.process)
    parts, last, calls = [], [], 0
    began = time.perf_counter()
    for start in range(0, rows, BATCH):
        seeds = range(start, min(start + BATCH, rows))
        generation = core.sample(oracle.prior(len(seeds)), seeds=seeds)
        parts.append(generation.ids)
        last.append(generation.committed_at.amax(1))
        calls = max(calls, generation.nfe)
    ids = torch.cat(parts)
    share = oracle.frequencies(ids)
    steps = settings.get("steps")
    listed = ", ".join(f"{key} {value}" for key, value in settings.items() if key != "steps")
    noise_name = "masks" if corruption == "absorbing" else corruption
    what = f"{name} ({listed}), {noise_name}" if listed else f"{name}, {noise_name}"
    record(
        what,
        oracle.total_variation(ids),
        unit="total variation",
        at="" if steps is None else f"{steps} steps",
        headline=what.startswith(HEADLINES) and steps in {None, 5, 20, 200},
        how=f"{rows:,} texts of a joint of 3^5; the floor is that of draws from the joint itself",
        floor=oracle.floor(rows),
        exact=str(sampler.exact),
        calls=calls,
        mean_steps=float(torch.cat(last).double().mean()),
        entropy=float(torch.special.entr(share).sum()),
        entropy_of_joint=oracle.entropy(),
        seconds=time.perf_counter() - began,
    )


def main() -> None:
    """Measure every sampler that is registered, at several numbers of steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000, help="texts a measurement")
    parser.add_argument("names", nargs="*", help="samplers to measure; none: all")
    given = parser.parse_args()
    torch.set_num_threads(1)
    record = Recorder("samplers")
    for name, cls in tokens("sampler").items():
        if given.names and name not in given.names:
            continue
        for settings in SETTINGS.get(name, [{}]):
            steps = STEPS if "steps" in attrs.fields_dict(cls) else (None,)
            if cls.exact == "one at a time":  # five tokens: more steps than that change nothing
                steps = [number for number in steps if number is None or number <= 20]
            for number in steps:
                every = settings if number is None else {"steps": number, **settings}
                measure(record, name, every, cls(**every), given.rows)
                if not cls.absorbing_only:
                    for corruption in ("uniform", "hybrid"):
                        measure(
                            record,
                            name,
                            every,
                            cls(**every),
                            given.rows,
                            corruption=corruption,
                        )
    if not given.names or "ancestral" in given.names:
        ancestral = Registry.discover().get("sampler", "ancestral").load()
        for size in (1, 2, 3):
            every = {"steps": 2, "block_size": size}
            measure(record, "ancestral", every, Blocks(ancestral(steps=2), size), given.rows)


if __name__ == "__main__":
    main()
