"""What a file may get wrong: each fault with its file, line and key, and all of them at once."""

from types import SimpleNamespace

import pytest
from attrs import field, frozen

import aios_core
from aios_core.config import load, resolve
from aios_core.contracts import NoiseScheduler
from aios_core.errors import ConfigError
from aios_core.registry import Registry


def problems(text, registry, write):
    path = write(text)
    with pytest.raises(ConfigError) as caught:
        load(path, registry=registry)
    return [problem.replace(f"{path}:", "") for problem in caught.value.problems]


def odd(text):
    return f"[noise]\ntype = 'odd'\nneeded = 1\n{text}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sed = 1", "1: sed: unknown section; did you mean 'seed'? known: name, seed,"),
        ("seed = 1.0", "1: seed: expected an integer, got 1.0"),
        ("seed = true", "1: seed: expected an integer, got true"),
        ("seed = '1'", '1: seed: expected an integer, got "1"'),
        ("seed = -1", "1: seed: expected a number >= 0, got -1"),
        ("name = 3", "1: name: expected a string, got 3"),
        ("name = 2026-01-01", "1: name: expected a string, got 2026-01-01"),
        ("name = '../x'", "1: name: must match regex"),
        ("mode = 'Ar'", '1: mode: expected one of "diffusion", "ar", got "Ar"'),
        ("noise = 'power'", '1: noise: expected a table with a key type, got "power"'),
        (
            "[noise]\ntype = 'powr'",
            "2: noise.type: no noise is called 'powr'; did you mean 'power'",
        ),
        ("[noise]\ntype = 3", "2: noise.type: expected the name of a noise, as a string"),
        ("[noise]\ntyp = 'power'", "2: noise.typ: unknown key; did you mean 'type'?"),
        ("[noise]\ntype = 'mutable'", "2: noise.type: noise.mutable of small-plugins 1.5"),
        ("[noise]\ntype = 'odd'", "1: noise.needed: is missing; expected an integer"),
        (
            "[sampler]\n\nstep = 4",
            "3: sampler.step: unknown key; did you mean 'steps'? known: type",
        ),
        ("sampler = { steps = 0 }", "1: sampler.steps: expected a number >= 1, got 0"),
        ("sampler.order = 1", '1: sampler.order: expected one of "random", "confidence", got 1'),
        ("metrics = 3", "1: metrics: expected an array of tables, [[metrics]], got 3"),
        ("metrics = [\n3]", "2: metrics[0]: expected a table with a key type, got 3"),
        ("[[metrics]]\nn = 1", "1: metrics[0].type: is missing; expected the name of a metric"),
        ("[[metrics]]\ntype = 'nelbo'\nn = 0", "3: metrics[0].n: expected a number >= 1, got 0"),
        ("training = 3", "1: training: expected a table, got 3"),
        ("[training]\nsteps = 0", "2: training.steps: expected a number >= 1, got 0"),
        (
            "[training]\nlearning_rate = nan",
            "2: training.learning_rate: expected a number, got nan",
        ),
        ("[sampling]\nlength = 'x'", '2: sampling.length: expected an integer, got "x"'),
        ("levels = []\n[evolution]\nlevel = 'no'", "2: evolution: level: 'no' is none of"),
        ("[plugins]\nuse = {a = 1}", "2: plugins.use.a: expected a string, got 1"),
        ("[plugins]\nuse = {a = 'b'}", "2: plugins.use: cannot pin 'a'"),
        (
            "[plugins]\nrequire = [\n'no-such>=1']",
            "3: plugins.require[0]: no-such is not installed",
        ),
        ("[plugins]\nrequire = ['attrs<1']", "2: plugins.require[0]: attrs "),
        ("[plugins]\nrequire = ['?']", "2: plugins.require[0]: '?' is not a requirement"),
        (odd("flag = 1"), "4: noise.flag: expected true or false, got 1"),
        (odd("flag = true"), "1: noise: flag needs file"),
        (odd("file = ''"), '4: noise.file: expected a path, got ""'),
        (
            odd("either = []"),
            "4: noise.either: expected an integer or a number or a string, got an arr",
        ),
        (odd("kind = 4"), '4: noise.kind: expected one of "a", "b", 3, got 4'),
        (odd("sizes = [1,\n'x']"), '5: noise.sizes[1]: expected an integer, got "x"'),
        (odd("sizes = 1"), "4: noise.sizes: expected an array, of each an integer, got 1"),
        (
            odd("pair = ['x']"),
            "4: noise.pair: expected an array of 2: a string, a number, got 1 values",
        ),
        (odd("named = {x = 'y'}"), '4: noise.named.x: expected a number, got "y"'),
        (odd("shape.width = 0"), "4: noise.shape.width: expected a number >= 1, got 0"),
        (odd("shapes = [{},\n{widht = 1}]"), "5: noise.shapes[1].widht: unknown key; did you mean"),
        (odd("low = 2\nhigh = 1"), "5: noise.high: 1.0 is not above low, which is 2.0"),
        (odd(f"low = 1{'0' * 400}"), "4: noise.low: expected a number, got 10"),
    ],
)
def test_each_fault_has_its_line(registry, write, text, message):
    (problem,) = problems(text, registry, write)

    assert problem.startswith(message)


def test_all_faults_are_told_at_once_in_the_order_of_the_file(registry, write):
    text = """
    [training]
    steps = "x"
    warmup_steps = -1
    clip_nrm = 2
    [noise]
    type = "nothing"
    [[metrics]]
    type = "nelbo"
    n = 0
    [sampler]
    steps = 0
    order = "none"
    [diffusion]
    length = 0
    """

    messages = problems(text, registry, write)

    want = ["3: training.steps", "4: training.warmup_steps", "5: training.clip_nrm"]
    want += ["7: noise.type", "10: metrics[0].n", "12: sampler.steps", "13: sampler.order"]
    assert [*want, "15: diffusion.length"] == [
        each.rpartition(": ")[0][: len(w)]
        for each, w in zip(messages, [*want, "15: diffusion.length"], strict=True)
    ]


def test_a_validator_that_looks_at_a_wrong_field_stays_silent(registry, write):
    assert ['4: noise.low: expected a number, got "x"'] == problems(
        odd("low = 'x'\nhigh = 3"), registry, write
    )
    offer = aios_core.hookimpl(lambda: {"between": Between})
    registry.add(SimpleNamespace(AIOS_API=1, __name__="b", aios_noise_schedulers=offer))
    text = "[noise]\ntype = 'between'\nhigh = 3\nlow = "

    assert ['4: noise.low: expected a number, got "x"'] == problems(text + "'x'", registry, write)
    (message,) = problems(text + "4", registry, write)
    assert message.startswith("3: noise.high: 3.0 is not above 4.0")


@frozen
class Between(NoiseScheduler):
    """Its low must be said."""

    low: float
    high: float = field(default=1.0)

    @high.validator
    def _above(self, attribute, value):
        if value <= self.low:
            raise ValueError(f"{value} is not above {self.low}")

    def alpha(self, t):
        return 1 - t


def test_plain_data_is_told_without_a_place(registry):
    with pytest.raises(ConfigError, match=r"^training\.steps: expected a number >= 1, got 0$"):
        resolve({"training": {"steps": 0}}, registry=registry)


def test_types_that_a_module_hides_are_a_fault_of_the_plugin(
    registry, write, tmp_path, monkeypatch
):
    source = """
from __future__ import annotations
from typing import TYPE_CHECKING
from attrs import frozen
from aios_core.contracts import NoiseScheduler
if TYPE_CHECKING:
    from fractions import Fraction
@frozen
class Hidden(NoiseScheduler):
    k: Fraction = 1
    def alpha(self, t): return t
"""
    (tmp_path / "hidden_types.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    offer = aios_core.hookimpl(lambda: {"hidden": "hidden_types:Hidden"})
    registry.add(SimpleNamespace(AIOS_API=1, __name__="h", aios_noise_schedulers=offer))

    (message,) = problems("[noise]\ntype = 'hidden'", registry, write)

    assert message.startswith(
        "2: noise.type: hidden_types.Hidden: the types of its fields cannot be"
    )
    assert "name 'Fraction' is not defined; import what they name outside" in message


def test_an_empty_registry_names_every_section(write, held):
    messages = problems("", Registry.empty(), write)

    assert held == len(messages), "what each kind says"
    assert all("known: none" in each for each in messages)


def test_letters_of_any_language_are_a_key_that_is_told_as_it_was_written(registry, write):
    """Fault E10: a key outside of ASCII is an unknown key, in its own letters."""
    with pytest.raises(ConfigError) as caught:
        resolve({}, overrides=["naïve=1", "sampler.stéps=2"], registry=registry)

    assert '--set naïve=1: "naïve": unknown section; did you mean' in caught.value.problems[0]
    assert ['1: "stéps": unknown section'] == [
        problem.partition(";")[0] for problem in problems('"stéps" = 1', registry, write)
    ]


def test_a_date_where_text_is_wanted_says_what_quotes_make_of_it(registry, write):
    """Fault E10: a name that is a date in TOML."""
    messages = problems(odd("file = 2024-01-01"), registry, write)

    assert [
        '4: noise.file: expected a path, got 2024-01-01; in quotes it is one: "2024-01-01"'
    ] == messages
