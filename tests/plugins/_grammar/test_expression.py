"""Which texts a regular expression has."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aios_core.errors import InferenceError
from aios_plugins._grammar.expression import parse
from aios_plugins._grammar.machine import compile_pattern


def automaton(regex):
    return compile_pattern(parse(regex))


@pytest.mark.parametrize(
    ("regex", "texts"),
    [
        ("a{2,3}b", ["aab", "aaab", "ab", "aaaab", "aabb"]),
        ("a{,2}", ["", "a", "aa", "aaa"]),
        ("a{2,}", ["a", "aa", "aaaaa"]),
        ("a{2}|b+?|(?:c*)", ["aa", "a", "b", "bb", "", "ccc", "cb"]),
        ("[^x-z]*", ["", "abc", "axc", "é€😀", "\n"]),
        ("[]a-]+", ["]", "a-", "b", "]]"]),
        (r"[\d\-z]+\.", ["1-z.", "a.", "."]),
        (r"\w\W\s\S\D", ["aé 1é", "é1 1a", "_- xx"]),
        (".", ["a", "\n", "😀", "ab", ""]),
        ("[é-€]", ["é", "€", "a", "中"]),
        (r"\x41\u00e9\U0001F600\n\\", ["Aé😀\n\\", "A"]),
        ("^ab$", ["ab", "a"]),
        ("a{x}|b{|{", ["a{x}", "b{", "{", "ax"]),
        ("(a|b)*abb", ["abb", "aabb", "babb", "ab"]),
        ("", ["", "a"]),
    ],
)
def test_regular_expressions_mean_what_they_mean_in_python(regex, texts):
    for text in texts:
        expected = re.fullmatch(regex, text, re.ASCII) is not None
        assert expected == automaton(regex).matches(text.encode()), text


UTF8 = st.characters(codec="utf-8")


@given(st.text(), st.lists(st.tuples(UTF8, UTF8), min_size=1, max_size=4))
@example("\ud7ff\ue000", [("a", "\U0001f600")])  # across the surrogates
@settings(max_examples=60, deadline=None)
def test_sets_are_cut_rightly_into_bytes(text, pairs):
    """Ranges of code points cross lengths of encodings and borders of bytes."""
    ranges = "".join(f"{re.escape(min(p))}-{re.escape(max(p))}" for p in pairs)
    machine = automaton(f"[{ranges}]")
    for each in {*text, *(c for p in pairs for c in p)}:
        expected = any(min(p) <= each <= max(p) for p in pairs)
        assert expected == machine.matches(each.encode())


@pytest.mark.parametrize(
    ("regex", "expected"),
    [
        ("(a", "position 2: a group is not closed"),
        ("a)", r"position 1: a \) closes nothing"),
        ("[a", "it ends too early"),
        ("a\\", "it ends too early"),
        ("*a", r"nothing to repeat before \*"),
        ("a**", "multiple repeat"),
        ("a{2}{3}", "multiple repeat"),
        ("a{3,2}", "at least 3 and at most 2"),
        (r"\bx", r"\\b is not supported"),
        (r"(a)\1", r"\\1 is not supported"),
        ("(?=a)", r"\(\?...\) only"),
        ("a^", r"\^ can only stand at the start"),
        ("a$b", r"\$ can only stand at the end"),
        ("[z-a]", "goes up"),
        (r"[a-\d]", "from one character to another"),
        (r"\xg1", "2 hexadecimal digits"),
        (r"\ud800", "is no character"),
        ("(" * 200, "100 groups"),
        ("(a|b)*a(a|b){20}", "more than 4096 states"),
        ("((a{999}){999}){999}", "more than 100000 parts"),
        (r"[^\x00-\U0010ffff]", "no text at all"),
    ],
)
def test_what_no_automaton_can_do_is_said(regex, expected):
    with pytest.raises(InferenceError, match=expected):
        automaton(regex)
