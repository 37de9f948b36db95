"""A card and the digests in it: what makes it another one, and what it may not say."""

import hashlib
import json
import math

import attrs
import pytest
import torch

from aios_core.contracts import Adaptation
from aios_core.errors import EvolutionError
from aios_core.training.digest import tensor_digest, tensors_digest, text_digest
from aios_plugins.evolution.card import (
    MAX_JSON,
    Card,
    data_digest,
    identified,
    read,
    read_card,
    read_json,
    write,
)
from aios_plugins.evolution.readme import readme

CARD = Card(
    name="one",
    level="l2-lora",
    mode="diffusion",
    base_sha256="b" * 64,
    result_sha256="c" * 64,
    tokenizer_sha256="t",
    mask_token_id=1,
    vocab_size=4,
    parameters=6,
    parameters_total=600,
)
LEARNED = Adaptation({"r": 2}, {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(2)}, 6)
NUMBERS = {"before": 2.0, "after": 1.5, "delta": -0.5, "low": -0.75, "high": None}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64])
def test_a_digest_is_of_type_shape_and_every_bit(dtype):
    """Worked out by hashlib; of the numbers in their order, however they lie in memory."""
    tensor = torch.arange(6).view(2, 3).to(dtype)
    data = tensor.clone().view(torch.uint8).numpy().tobytes()
    expected = hashlib.sha256(f"{dtype} (2, 3)\n".encode() + data).hexdigest()
    last = tensor.clone()
    last[1, 2] = 7

    assert expected == tensor_digest(tensor) == tensor_digest(tensor.T.contiguous().T)
    others = [tensor.T, tensor.flatten(), tensor[None], tensor.to(torch.float16), last]
    assert 6 == len({expected, *map(tensor_digest, others)})
    assert tensor_digest(torch.zeros(1)) != tensor_digest(-torch.zeros(1)), "two zeros"


def test_a_digest_of_named_tensors_is_of_names_and_not_of_their_order():
    first, second = torch.ones(2), torch.zeros(2)
    lines = f"a {tensor_digest(first)}\nb {tensor_digest(second)}".encode()

    assert hashlib.sha256(lines).hexdigest() == tensors_digest({"b": second, "a": first})
    assert tensors_digest({"a": first, "b": second}) != tensors_digest({"a": second, "b": first})
    assert hashlib.sha256(b"x\ny").hexdigest() == text_digest(["x", "y"])
    expected = hashlib.sha256(b'{"a":[1,null],"b":{"c":0.5}}').hexdigest()
    assert expected == data_digest({"b": {"c": 0.5}, "a": [1, None]})


@pytest.mark.parametrize(
    ("change", "another"),
    [
        ({"level": "l3"}, True),
        ({"base_sha256": "d" * 64}, True),
        ({"parent": "d" * 64}, True),
        ({"name": "two"}, False),
        ({"description": "x", "created": "now", "seconds": 1.0, "revoked": True}, False),
    ],
)
def test_an_id_is_of_what_decides_the_model(change, another):
    """Level, base, parent, configuration and tensors; not of words about it."""
    single = identified(CARD, LEARNED).skill_id
    changed = identified(attrs.evolve(CARD, **change), LEARNED)

    assert another == (single != changed.skill_id)
    assert 64 == len(single)
    for field, value in (
        ("config", {"r": 3}),
        ("tensors", {**LEARNED.tensors, "b": torch.zeros(2)}),
    ):
        assert single != identified(CARD, attrs.evolve(LEARNED, **{field: value})).skill_id


@pytest.mark.parametrize(
    "wrong",
    [
        {"target": NUMBERS},
        {"base": NUMBERS},
        {"target": NUMBERS, "base": None},
        {"target": NUMBERS, "base": [1]},
        {"target": {**NUMBERS, "high": "x"}, "base": NUMBERS},
        {"target": NUMBERS, "base": {**NUMBERS, "before": True}},
        {"target": NUMBERS, "base": {"before": "x", "after": 1.0}},
        [],
        "",
    ],
)
@pytest.mark.parametrize("field", ["scores", "report"])
def test_a_card_has_the_scores_of_both_domains_or_none(wrong, field):
    """Commands show them, so what is no number is refused as the card is read."""
    right = {"target": NUMBERS, "base": {**NUMBERS, "delta": 1}, "accepted": True}

    assert right == getattr(attrs.evolve(CARD, **{field: right}), field)
    with pytest.raises(ValueError, match="expected an empty object, or target and base"):
        attrs.evolve(CARD, **{field: wrong})


@pytest.mark.parametrize(
    ("field", "least", "most"),
    [
        ("seed", -(2**63), 2**63 - 1),
        ("mask_token_id", 0, 2**63 - 1),
        ("vocab_size", 0, 2**63 - 1),
        ("parameters", 0, 2**63 - 1),
        ("parameters_total", 0, 2**63 - 1),
    ],
)
def test_whole_numbers_of_a_card_have_bounds(field, least, most):
    for value in (least, most):
        assert value == getattr(attrs.evolve(CARD, **{field: value}), field)
    for value in (least - 1, most + 1, 1.0, "1", None):
        with pytest.raises((ValueError, TypeError)):
            attrs.evolve(CARD, **{field: value})


@pytest.mark.parametrize(
    "wrong",
    [
        {"schema_version": 2},
        {"skill_id": 1},
        {"name": "One"},
        {"name": "-one"},
        {"name": "a" * 65},
        {"name": "../x"},
        {"description": None},
        {"level": None},
        {"mode": "both"},
        {"base_sha256": "b" * 63},
        {"parent": "base"},
        {"result_sha256": "C" * 64},
        {"tokenizer_sha256": None},
        {"data": None},
        {"seconds": "1"},
        {"created": 1},
        {"versions": []},
        {"revoked": 1},
        {"no_such_field": 1},
    ],
    ids=lambda value: next(iter(value)),
)
def test_what_is_no_card_is_refused_as_it_is_read(tmp_path, wrong):
    write(tmp_path, identified(CARD, LEARNED), LEARNED)
    path = tmp_path / "skill.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | wrong))

    with pytest.raises(EvolutionError, match=r"skill\.json: is not a skill card"):
        read_card(tmp_path)


def test_what_was_written_is_read(tmp_path):
    scored = attrs.evolve(CARD, scores={"target": NUMBERS, "base": NUMBERS}, seed=-3, seconds=1.5)
    card = identified(scored, LEARNED)
    write(tmp_path, card, LEARNED)
    there, learned = read(tmp_path)

    assert card == there
    assert ({"r": 2}, 6) == (learned.config, learned.parameters)
    assert tensors_digest(LEARNED.tensors) == tensors_digest(learned.tensors)
    bent = attrs.evolve(LEARNED, tensors={"a": torch.tensor([1.0, math.inf])})
    for wrong, value in ((card, bent), (attrs.evolve(card, seconds=math.nan), LEARNED)):
        with pytest.raises(EvolutionError, match="finite"):
            write(tmp_path, wrong, value)


def test_a_file_that_is_too_large_for_a_card_is_not_read(tmp_path):
    path = tmp_path / "skill.json"
    path.write_text('{"a": 1}' + " " * (MAX_JSON - 8))
    assert {"a": 1} == read_json(path)
    with path.open("a") as file:
        file.write(" ")

    with pytest.raises(EvolutionError, match=f"{MAX_JSON + 1} bytes are too many for a card"):
        read_json(path)


def test_the_page_of_a_card_says_its_numbers():
    """One percent of the parameters; a table of what is known, and no row of what is not."""
    whole = {**NUMBERS, "high": -0.25}
    plain = readme(CARD)
    page = readme(
        attrs.evolve(
            CARD, scores={"target": whole, "base": NUMBERS}, report={"target": whole, "base": whole}
        )
    )

    assert "trainable params: 6 || all params: 600 || trainable%: 1.0000" in plain
    assert f"base_model: aios-{'b' * 16}\n" in plain
    assert "|---|" not in plain
    line = "| 2.0000 | 1.5000 | -0.5000 | -0.7500 to -0.2500 |"
    rows = [line for line in page.splitlines() if line.startswith(("| gate", "| report"))]
    assert [
        f"| gate | target {line}",
        f"| report | target {line}",
        f"| report | base {line}",
    ] == rows
