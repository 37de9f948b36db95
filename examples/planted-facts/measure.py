"""Whether a network uses the memories it is conditioned on, on people it has never read about.

    python examples/planted-facts/measure.py runs/planted-facts

For facts of held-out people, each asked by the beginning of its memory: the NELBO of the rest with
the memories that the prompt finds, with those that another prompt finds, and with none, on the same
noise; and how many texts say the true value, written with the same seeds with memories, with
guidance, and without, and where chance has no part (temperature 0). Intervals are of 95 %, by
bootstrap over facts. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from facts import VALUES, memory, people, prompt

from aios_core.contracts import Sequences
from aios_core.diffusion.objective import nelbo as bound
from aios_core.diffusion.random import RowRandom
from aios_core.diffusion.times import draw_times
from aios_core.inference import ArrowEngine

DRAWS = 16
"""Noisy states of a fact."""


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--facts", type=int, default=300)
    parser.add_argument("--scale", type=float, default=2.0, help="of the guidance")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    everyone = people()
    held_out = everyone[-len(everyone) // 10 + 1 :]  # one may have been cut in two
    asked = [(who, relation, what) for who, facts in held_out for relation, what in facts.items()]
    asked = [asked[i] for i in np.linspace(0, len(asked) - 1, arguments.facts).round().astype(int)]
    engine = ArrowEngine.load(arguments.run)
    measured = {"facts": len(asked), "nelbo": nelbo(engine, asked)}
    measured["true"] = generations(engine, asked, arguments.scale)
    sys.stdout.write(json.dumps(measured, indent=2) + "\n")


def nelbo(engine, asked):
    """Nats of what follows a prompt, by what the network is conditioned on."""
    model, vocabulary = engine.models["diffusion"].model, engine.tokenizer.vocabulary
    rows = [engine.tokenizer.encode(memory(*fact)).tolist() for fact in asked]
    given = [len(engine.tokenizer.encode(prompt(*fact[:2]))) for fact in asked]
    width = max(map(len, rows))
    ids = torch.tensor([row + [vocabulary.pad_id] * (width - len(row)) for row in rows])
    place = torch.arange(width).expand_as(ids)
    valid = place < torch.tensor([len(row) for row in rows])[:, None]
    free = valid & (place >= torch.tensor(given)[:, None])
    texts = Sequences(ids, valid, free)
    right = engine.cues.for_sampling([row[:n] for row, n in zip(rows, given, strict=True)], {})
    other = right.taken(np.roll(np.arange(len(asked)), len(asked) // 2))
    arms = {"right": model.conditioned(right), "random": model.conditioned(other), "none": model}
    nats = {name: torch.zeros(len(asked), dtype=torch.float64) for name in arms}
    with torch.no_grad():
        for draw in range(DRAWS):
            times = draw_times(len(asked), torch.Generator().manual_seed(draw))
            for name, network in arms.items():
                noise = RowRandom.numbered(draw, range(len(asked)), width)
                drawn = bound(network, texts, times, noise)
                nats[name] += drawn.cpu() / DRAWS
    values = {name: drawn.numpy() for name, drawn in nats.items()}
    return {name: interval(drawn) for name, drawn in values.items()} | {
        "right - none": interval(values["right"] - values["none"]),
        "random - none": interval(values["random"] - values["none"]),
    }


def generations(engine, asked, scale):
    """Share of texts that say the true value."""
    prompts = [prompt(who, relation) for who, relation, _ in asked]
    values = " ".join(VALUES.values()).split()
    most = max(len(engine.tokenizer.encode(f" {what}.")) for what in values)
    guided = {"conditioned": True}
    settings = {
        "without": {},
        "without, temperature 0": {"temperature": 0},
        "with": guided,
        "with, temperature 0": guided | {"temperature": 0},
        f"with, guidance {scale:g}": guided | {"guidance_scale": scale},
    }
    shares = {}
    for name, options in settings.items():
        output = engine.diffuse(prompts, max_new_tokens=most, seed=1, **options)
        pairs = zip(output.completions, asked, strict=True)
        shares[name] = interval(np.array([what in text for text, (*_, what) in pairs], float))
        if name == "with":
            first = [used[0].influence for used in output.cues]
            others = [cue.influence for used in output.cues for cue in used[1:]]
            shares["influence of the nearest, nats"] = interval(np.array(first))
            shares["influence of the others, nats"] = interval(np.array(others))
    return shares


def interval(values, rounds=2000):
    """Mean and 95 % interval of the bootstrap."""
    chance = np.random.default_rng(0)
    means = values[chance.integers(0, len(values), (rounds, len(values)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return {"mean": round(values.mean(), 4), "ci95": [round(low, 4), round(high, 4)]}


if __name__ == "__main__":
    main()
