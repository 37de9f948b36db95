"""Keeps versions until it is killed, over and over, and looks at what each kill left.

Run as a program: ``crashing.py FOLDER KILLS`` prints how many versions were kept in all.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from aios_core.contracts import Adaptation
from aios_plugins.evolution.card import Card, identified
from aios_plugins.evolution.journal import Journal


def keep_for_ever(folder, ready):
    journal = Journal.of(folder)
    with journal.locked():
        os.write(ready, b"1")
        while True:
            adaptation = Adaptation({}, {"w": torch.rand(2000)}, 2000)
            card = Card(
                name="crash",
                level="l2-lora",
                mode="diffusion",
                base_sha256="0" * 64,
                parent=None,
                result_sha256="0" * 64,
                tokenizer_sha256="",
                mask_token_id=0,
                vocab_size=1,
                parameters=2000,
                parameters_total=2000,
                seed=len(journal.entries()),
            )
            card = identified(card, adaptation)
            journal.keep(card, adaptation)
            journal.add("attempt", accepted=True, skill_id=card.skill_id)
            journal.move(card.skill_id)


def main(folder, kills):
    chance, journal, before = random.Random(0), Journal.of(folder), -1
    for _ in range(kills):
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            keep_for_ever(folder, writing)
        os.close(writing)
        os.read(reading, 1)
        time.sleep(chance.uniform(0, 0.25))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)
        kept = [entry["skill_id"] for entry in journal.entries()]
        assert len(kept) >= before, "a line is lost"
        assert journal.head is None or journal.head in kept, "HEAD is ahead of the journal"
        journal.chain(journal.head)
        for skill in kept[max(0, before) :]:
            journal.chain(skill)
        before = len(kept)
    sys.stdout.write(f"{before}\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), int(sys.argv[2]))
