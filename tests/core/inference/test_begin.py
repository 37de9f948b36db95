"""The begin token: in front of every text that a network reads, and of none that a caller sees."""

import numpy as np
import pytest

from aios_core.inference import ArrowEngine
from aios_core.testing.conformance import tokens

BOS, MASK = 258, 256
SAMPLERS = list(tokens("sampler"))


@pytest.fixture
def asked(engine, monkeypatch):
    """All that the networks of the engine are asked, row by row."""
    seen = []
    for loaded in engine.models.values():
        head = loaded.model.head
        encode = head.encode

        def watched(x, encode=encode):
            seen.extend(x.tolist())
            return encode(x)

        monkeypatch.setattr(head, "encode", watched)
    return seen


WAYS = {
    "prompts": lambda e, **how: e.diffuse(["milk", "", "a bottle"], **how),
    "gaps": lambda e, **how: e.infill(["milk <mask:2> and ___.", "___"], gap=3, **how),
    "guided": lambda e, **how: e.diffuse(["milk", "a"], guidance_scale=2.0, **how),
    "led away": lambda e, **how: e.diffuse(
        ["milk", "a"], guidance_scale=2.0, negative_prompt="xy", max_new_tokens=9, **how
    ),
    "held to a form": lambda e, **how: e.diffuse(
        ["milk", ""], regex="[a-c]{2,5}", max_new_tokens=9, **how
    ),
    "in blocks": lambda e, **how: e.diffuse(["milk", ""], block_size=4, **how),
}


def assert_begun(asked, output, rows):
    """Every question begins with it, and has it nowhere else by our doing; no answer shows it."""
    assert asked
    assert {BOS} == {row[0] for row in asked}
    for number, ids in enumerate(output.token_ids):
        given = [token for token, fixed in zip(ids, output.given[number], strict=True) if fixed]
        assert given == rows[number]
        assert len(ids) == len(output.log_probs[number]) == len(output.uncertainty[number])


@pytest.mark.parametrize("way", WAYS)
def test_every_question_begins_with_it(engine, asked, way):
    """Fault D1: position 0 was any place of a document."""
    output = WAYS[way](engine, seed=2, suppress_tokens=[BOS], ignore_eos=way != "held to a form")
    texts = {"gaps": ["milk  and .", ""], "prompts": ["milk", "", "a bottle"]}.get(way)
    second = "" if way in ("held to a form", "in blocks") else "a"
    texts = texts or ["milk", second]
    assert_begun(asked, output, [list(text.encode()) for text in texts])
    assert not any(BOS in ids for ids in output.token_ids)
    assert not any(BOS in row[1:] for row in asked)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_sampler_touches_it(engine, asked, sampler):
    """Those that take tokens back as well: it is there in the last question as in the first."""
    updates = list(engine.stream("milk", sampler=sampler, mode="diffusion", ignore_eos=True))
    assert {BOS} == {row[0] for row in asked}
    for update in updates:
        assert 23 == len(update.token_ids[0]) == len(update.given[0]) == len(update.new[0])
        assert b"milk" == bytes(update.token_ids[0][:4])
    assert updates[-1].output.texts[0].startswith("milk")


def test_the_twin_reads_it_too(engine, asked):
    """As in training, before the begin token that a twin needs to predict the first token from."""
    output = engine.generate(["milk", ""], mode="ar", max_new_tokens=3, ignore_eos=True)
    assert [7, 3] == [len(ids) for ids in output.token_ids]
    assert [BOS, BOS, *b"milk"] in [row[-6:] for row in asked]


def test_so_do_vectors(engine, asked):
    engine.encode(["milk", "a bottle"])
    assert {BOS} == {row[0] for row in asked}


def test_one_that_the_caller_gives_is_not_doubled(engine, asked):
    """It is the begin token, and no part of the text."""
    rows = np.full((1, 7), MASK)
    rows[0, 0], rows[0, 3] = BOS, ord("x")
    output = engine.diffuse(rows, fixed=rows != MASK, suppress_tokens=[BOS], seed=1)
    plain = engine.diffuse(rows[:, 1:], fixed=rows[:, 1:] != MASK, suppress_tokens=[BOS], seed=1)
    assert {1} == {row.count(BOS) for row in asked}
    assert 6 == len(output.token_ids[0])
    assert plain.token_ids == output.token_ids


def test_a_network_of_streams_has_none(run, tmp_path, monkeypatch):
    """What was trained on crops of a stream reads texts as it did."""
    import torch

    from aios_core.config import resolve
    from aios_core.testing.fixtures import tiny_values
    from aios_core.training.trainer import train

    (tmp_path / "corpus.txt").write_text("a bottle of milk, and another. " * 100)
    values = tiny_values(tmp_path / "corpus.txt")
    values["diffusion"] = values["diffusion"] | {"packing": "stream"}
    values["training"] = values["training"] | {"steps": 1}
    monkeypatch.setenv("AIOS_CACHE", str(tmp_path / "cache"))
    torch.set_num_threads(1)
    train(resolve(values), tmp_path / "run", progress=False)
    engine = ArrowEngine.load(tmp_path / "run", twin=False)
    head, seen = engine.models["diffusion"].model.head, []
    encode = head.encode
    monkeypatch.setattr(head, "encode", lambda x: seen.extend(x.tolist()) or encode(x))
    output = engine.diffuse("milk", ignore_eos=True)
    engine.encode("milk")

    assert 24 == len(output.token_ids[0]) == engine.context
    assert {ord("m")} == {row[0] for row in seen}
