"""The line finder against the parser: every leaf is found on the line that it was written on."""

import re
import tomllib

from hypothesis import given

from aios_core.config.lines import find_lines
from aios_core.testing.strategies import toml_documents

TEXT = '''a = 1
"b.c" . d = """
x""" # c
[t]  # [no]
x = [
 1, # one
 {a=2, b.c = "]"},
]
when = 1979-05-27 07:32:00
[[m]]
y = 1
[m.sub]
z = 2
[[ m ]]
y = 3
[[m.deep]]
q = \'\'\'

\'\'\'
w = 1
[late.inner]
[late]
'''


def leaves(value, path=()):
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, (*path, key))
    yield path, value


def test_lines_of_every_way_to_write_a_key():
    assert find_lines(TEXT) == {
        ("a",): 1,
        ("b.c",): 2,
        ("b.c", "d"): 2,
        ("t",): 4,
        ("t", "x"): 5,
        ("t", "x", 0): 6,
        ("t", "x", 1): 7,
        ("t", "x", 1, "a"): 7,
        ("t", "x", 1, "b"): 7,
        ("t", "x", 1, "b", "c"): 7,
        ("t", "when"): 9,
        ("m",): 10,
        ("m", 0): 10,
        ("m", 0, "y"): 11,
        ("m", 0, "sub"): 12,
        ("m", 0, "sub", "z"): 13,
        ("m", 1): 14,
        ("m", 1, "y"): 15,
        ("m", 1, "deep"): 16,
        ("m", 1, "deep", 0): 16,
        ("m", 1, "deep", 0, "q"): 17,
        ("m", 1, "deep", 0, "w"): 20,
        ("late",): 22,
        ("late", "inner"): 21,
    }


@given(toml_documents())
def test_every_value_has_its_line(text):
    lines = find_lines(text)
    places = {
        mark: number
        for number, line in enumerate(text.split("\n"), 1)
        for mark in re.findall("«[1-9][0-9]*»", line)
    }

    result = dict(leaves(tomllib.loads(text)))

    assert set(lines) == set(result) - {()}
    for path, value in result.items():
        if isinstance(value, str):
            assert places[re.match("«.*?»", value)[0]] == lines[path]
