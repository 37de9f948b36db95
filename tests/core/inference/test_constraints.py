"""Constraints of plugins, by name and pattern, and the short forms of ours."""

import itertools
import re

import attrs
import pytest

from aios_core.errors import InferenceError, PluginError
from aios_core.inference import ArrowEngine
from aios_core.inference.settings import CONSTRAINTS, Settings
from aios_core.registry import Registry
from aios_core.testing.conformance import tokens

PLUGIN = """
import aios_core
from attrs import frozen
from aios_core.contracts import Automaton, Constraint
from aios_core.errors import InferenceError

AIOS_API = 1

@frozen
class Sums(Constraint):
    '''Sums of two digits that are right; the pattern is the largest digit.'''

    def automaton(self, pattern):
        if pattern not in set("123456789"):
            raise InferenceError(f"sums: expected a digit from 1 to 9, got {pattern[:40]!r}")
        digits = range(int(pattern) + 1)
        sums = {f"{a}+{b}={a + b}" for a in digits for b in digits}
        prefixes = {text[:n] for text in sums for n in range(len(text) + 1)}

        def moves(read):
            followed = (char for char in "0123456789+=" if read + char in prefixes)
            return [(ord(char), ord(char), read + char) for char in followed]

        return Automaton.explored("", moves, sums.__contains__)

@frozen
class Latin(Constraint):
    def automaton(self, pattern):
        return Automaton.explored(0, lambda _: [(224, 255, 0)], lambda _: True)

@frozen
class Nothing(Latin):
    def automaton(self, pattern):
        return None

@frozen
class Broken(Latin):
    def automaton(self, pattern):
        return Automaton.explored(0, lambda _: [(pattern, 255, 0)], lambda _: True)

@aios_core.hookimpl
def aios_constraints():
    return {"sums": Sums, "latin": Latin, "nothing": Nothing, "broken": Broken}
"""


@pytest.fixture
def third_party(run, tmp_plugin):
    """An engine where a plugin brings constraints."""
    tmp_plugin(PLUGIN, module="sums")
    return ArrowEngine.load(run, registry=Registry.discover())


def is_right(text):
    match = re.fullmatch(r"(\d)\+(\d)=(\d+)", text)
    return match is not None and int(match[1]) + int(match[2]) == int(match[3])


@pytest.mark.parametrize("mode", ["ar", "diffusion"])
def test_a_third_party_s_constraint_holds_in_both_modes(third_party, mode):
    """Behind prompts and streamed; a network that knows no arithmetic writes right sums."""
    options = {"mode": mode, "constraint": "sums:9", "max_new_tokens": 8}
    output = third_party.generate(["", "milk "], num_return_sequences=4, **options)
    *_, last = third_party.stream("a", seed=2, **options)
    texts = (*output.completions, *last.output.completions)

    assert all(is_right(text) for text in texts), texts
    assert 3 < len(set(texts))


def test_it_holds_by_every_sampler_and_in_gaps(third_party):
    registry = third_party.models["diffusion"].resolved.registry
    for name, cls in tokens("sampler", registry).items():
        few = {"num_inference_steps": 4} if "steps" in attrs.fields_dict(cls) else {}
        output = third_party.diffuse(
            "a ", sampler=name, constraint="sums:4", max_new_tokens=5, **few
        )
        assert is_right(output.completions[0]), name
    for text in third_party.infill(
        "<mask:1>+7=<mask:2>", constraint="sums:9", num_return_sequences=9
    ).texts:
        assert is_right(text), text
        assert "+7=" in text
    with pytest.raises(InferenceError, match="with the 4 that are given"):
        third_party.infill("<mask:1>+7=5", constraint="sums:9")


@pytest.mark.parametrize(
    ("constraint", "error", "expected"),
    [
        ("sums:ten", InferenceError, "expected a digit from 1 to 9, got 'ten'"),
        ("sums:", InferenceError, "expected a digit from 1 to 9, got ''"),
        ("sums", InferenceError, "expected TYPE:PATTERN, as in 'regex:.*', got 'sums'"),
        (":a", InferenceError, "expected TYPE:PATTERN"),
        (5, InferenceError, "expected TYPE:PATTERN, .*got 5"),
        ("sum:9", PluginError, "sums"),
        ("latin:", PluginError, r"latin of .*begins with b'\\xf5'; expected UTF-8"),
        ("nothing:", PluginError, "automaton gives NoneType; expected an Automaton"),
        ("broken:", PluginError, "broken of .*: automaton raised TypeError"),
    ],
)
def test_what_cannot_be_promised_is_refused_before_any_work(
    third_party, constraint, error, expected
):
    calls = []
    for loaded in third_party.models.values():
        loaded.model.register_forward_pre_hook(lambda *_: calls.append(1))
    for mode in ("ar", "diffusion"):
        with pytest.raises(error, match=expected):
            third_party.generate("a", mode=mode, constraint=constraint, max_new_tokens=6)

    assert [] == calls


SCHEMA = {"type": "array", "items": {"enum": ["é", 1, None]}, "minItems": 1}


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ({"regex": "[a-c]{2,}(:[0-9]+)?"}, "regex:[a-c]{2,}(:[0-9]+)?"),
        ({"regex": ""}, "regex:"),
        (
            {"json_schema": SCHEMA},
            'json-schema:{"type":"array","items":{"enum":["é",1,null]},"minItems":1}',
        ),
    ],
    ids=["regex", "empty", "json_schema"],
)
def test_short_forms_are_those_constraints(engine, short, long):
    outputs = [
        engine.diffuse("milk ", max_new_tokens=12, num_return_sequences=3, seed=5, **options)
        for options in (short, {"constraint": long})
    ]

    assert outputs[0].token_ids == outputs[1].token_ids
    assert outputs[0].log_probs == outputs[1].log_probs


class Members(dict):
    """A mapping of another class than JSON's own."""


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"const": {1}}, "json_schema: expected what JSON can say: .*type set"),
        ({"const": float("nan")}, "can say: Out of range float"),
        ({"const": 10**5000}, "can say: Exceeds the limit"),
        ([1], r"json_schema, #: expected an object, got \[1\]"),
    ],
)
def test_schemas_that_no_json_says_are_refused(engine, schema, expected):
    with pytest.raises(InferenceError, match=expected):
        engine.generate("a", json_schema=schema)


def test_schemas_may_be_any_mapping(engine):
    circular = {"type": "array"}
    circular["items"] = circular
    schema = Members(type="object", properties=Members(a=Members(const=(1, 2))), required=("a",))
    with pytest.raises(InferenceError, match="Circular reference"):
        engine.generate("a", json_schema=circular)

    assert '{"a":[1,2]}' == engine.generate("a", json_schema=schema).completions[0]


def test_a_call_has_at_most_one():
    given = {"regex": "a", "json_schema": {}, "constraint": "regex:a"}
    assert set(CONSTRAINTS) == set(given)
    assert all(Settings.of({name: value}) for name, value in given.items())
    for two in itertools.combinations(given.items(), 2):
        with pytest.raises(InferenceError, match="contradict each other"):
            Settings.of(dict(two))


def test_what_is_cached_knows_no_constraint(engine):
    with pytest.raises(InferenceError, match="constraint: needs all of the text"):
        engine.diffuse("a", cache="dual", block_size=2, constraint="regex:a*")


def test_without_the_plugin_a_short_form_names_what_is_missing(engine):
    """The folder of ours may be deleted; then nobody is promised anything."""
    model = engine.models["diffusion"]
    bare = attrs.evolve(model, resolved=attrs.evolve(model.resolved, registry=Registry.empty()))
    with pytest.raises(PluginError, match="no constraint is called 'regex'"):
        ArrowEngine({"diffusion": bare}).generate("a", regex="a*")
