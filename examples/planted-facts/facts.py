"""Texts about people who do not exist, and the facts about them as memories.

    python examples/planted-facts/facts.py planted

writes ``texts.jsonl`` and ``memories.jsonl`` into a folder. The last tenth of the texts, which
training holds out, is about people whom no other text names: what is true of them stands in the
memories alone.
"""

from __future__ import annotations

import json
import random
import sys
from itertools import product
from pathlib import Path

PEOPLE = 8000
"""So many that to look a fact up is easier to learn than all of them by heart."""
SYLLABLES = """
    bel bor dan dor eth fal fen gar gul hal hem jor kal kes lan lor mar mel nar nim
    ol or pel quin ras rim sal sen tal tor ul val ven wil yar zan zel zor
"""
VALUES = {
    "colour": "amber azure black bronze copper crimson cyan golden green grey indigo ivory "
    "lilac olive orange pink purple scarlet silver teal turquoise violet white yellow",
    "home": "Athens Bergen Berlin Boston Cairo Delhi Dublin Geneva Havana Lagos Lima Lisbon "
    "London Madrid Naples Osaka Oslo Paris Prague Quito Riga Rome Seoul Tunis",
    "trade": "actor baker barber carpenter clerk cook doctor driver farmer fisher gardener judge "
    "lawyer miner nurse painter pilot poet potter sailor smith tailor teacher weaver",
}
SENTENCES = {
    "colour": ("The colour of {who} is {what}.", "{who} wears {what} on every day of the year."),
    "home": ("The home of {who} is {what}.", "You will find {who} somewhere in {what}."),
    "trade": ("The trade of {who} is {what}.", "For a living {who} works as a {what}."),
}
"""The first is what a memory says; a text says both."""

Person = tuple[str, dict[str, str]]


def people(seed: int = 0) -> list[Person]:
    """Names, each with a value for every relation."""
    chance = random.Random(seed)  # noqa: S311  # a reproducible corpus
    names = sorted({"".join(parts).capitalize() for parts in product(SYLLABLES.split(), repeat=3)})
    return [
        (name, {relation: chance.choice(words.split()) for relation, words in VALUES.items()})
        for name in chance.sample(names, PEOPLE)
    ]


def prompt(who: str, relation: str) -> str:
    """What is asked for one fact: the beginning of its memory."""
    return SENTENCES[relation][0].format(who=who, what="").removesuffix(" .")


def memory(who: str, relation: str, what: str) -> str:
    """A fact as the store keeps it."""
    return SENTENCES[relation][0].format(who=who, what=what)


def text(person: Person, chance: random.Random) -> str:
    """Every fact of a person in both wordings, in any order."""
    who, facts = person
    sentences = [
        said.format(who=who, what=facts[relation])
        for relation in facts
        for said in SENTENCES[relation]
    ]
    return " ".join(chance.sample(sentences, len(sentences)))


def write(folder: Path, seed: int = 0) -> None:
    """Both files."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(seed + 1)  # noqa: S311  # as above
    everyone = people(seed)
    written = [{"text": text(person, chance)} for person in everyone]
    memories = [
        {"id": f"{who}.{relation}", "text": memory(who, relation, what)}
        for who, facts in everyone
        for relation, what in facts.items()
    ]
    for name, rows in (("texts", written), ("memories", memories)):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
