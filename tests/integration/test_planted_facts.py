"""The planted facts of ``examples/``: nothing but the memories names held-out people."""

import importlib.util
import json
from pathlib import Path

import pytest

from aios_core.config import load
from aios_core.contracts import store_schema
from aios_core.memory import Embedder, Place, open_store, with_embedding_metadata
from aios_plugins.datasets.file import File
from aios_plugins.tokenizers.bytes import TrainedBytes

FOLDER = Path(__file__).parents[2] / "examples" / "planted-facts"


@pytest.fixture(scope="module")
def facts():
    spec = importlib.util.spec_from_file_location("facts", FOLDER / "facts.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.PEOPLE = 400
    return module


@pytest.fixture(scope="module")
def planted(facts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    facts.write(folder)
    return folder


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_held_out_people_are_in_no_training_text(facts, planted):
    train = " ".join(File(path=planted / "texts.jsonl", split="end").texts("train"))
    held_out = facts.people()[-39:]

    assert all(who not in train for who, _ in held_out)
    assert facts.people()[0][0] in train


def test_a_prompt_finds_its_fact(facts, planted):
    resolved = load(FOLDER / "config.toml")
    provider, memories = resolved.config.embedding, rows(planted / "memories.jsonl")
    schema = with_embedding_metadata(
        store_schema(provider.dim), provider, resolved.values["embedding"]
    )
    place = Place(resolved.config.storage, str(planted / "store"))
    with open_store(place, schema=schema) as store:
        vectors = Embedder(provider).embed([memory["text"] for memory in memories])
        store.add([memory | {"vector": v} for memory, v in zip(memories, vectors, strict=True)])
    asked = [(who, relation) for who, known in facts.people()[-39:] for relation in known]
    config = resolved.config
    tokens = TrainedBytes()
    prompts = [tokens.encode(facts.prompt(*call)).tolist() for call in asked]
    source = config.conditioner.open(config, tokens, place=place.uri)
    cues = source.for_sampling(prompts, {"k": 8})

    first = [used[0].id for used in cues.rows]
    assert [f"{who}.{relation}" for who, relation in asked] == first
