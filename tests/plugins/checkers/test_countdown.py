"""Which expressions are right."""

import ast
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios_core.testing.contracts.checker import completion
from aios_plugins.checkers.countdown import MOST_DEPTH, Countdown, _tokens, value


def right(answer, prompt="3 7 25 46="):
    return Countdown().check(completion(prompt, answer))


@pytest.mark.parametrize("answer", ["25+3*7", "3*7+25", "(25)+(7*3)", " 25 + 3 * 7 ", "((3*7))+25"])
def test_any_right_expression_is_right(answer):
    assert right(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "46",
        "25+3+7",
        "25+3*7+0",
        "25+3*7=46",
        "3*7+5*5",
        "25+37",
        "25+3*7+",
        "(25+3*7",
        "25+3*7)",
        "25++3*7",
        "-3*-7+25",
        "25+3**7",
        "2 5+3*7",
        "25+3*7#",
        "25+3*\u0667",
        "25+3*7\n",
    ],
)
def test_anything_else_is_wrong(answer):
    assert not right(answer)


def test_a_value_between_may_be_a_fraction():
    assert right("3/7*7-1", "3 7 7 1 2=")
    assert right("8/(3-8/3)", "3 3 8 8 24=")


def test_dividing_by_zero_is_wrong():
    assert not right("1/(2-2)", "1 2 2 0=")


def test_each_number_is_used_once():
    assert right("2+2", "2 2 4=")
    assert not right("2+2", "2 4=")
    assert not right("2*2+2-2", "2 2 4=")


@pytest.mark.parametrize("prompt", ["", "abc", "7", "7=", "99999999999 1 2="])
def test_a_prompt_without_numbers_has_no_right_answer(prompt):
    assert not right("7", prompt)


def test_brackets_are_bounded():
    depth = MOST_DEPTH
    assert right("(" * depth + "1" + ")" * depth + "+2", "1 2 3=")
    assert not right("(" * (depth + 1) + "1" + ")" * (depth + 1) + "+2", "1 2 3=")


def expressions():
    numbers = st.integers(0, 12).map(str)
    return st.recursive(
        numbers,
        lambda inner: (
            st.tuples(inner, st.sampled_from("+-*/"), inner).map(
                lambda parts: f"({parts[0]}{parts[1]}{parts[2]})"
            )
            | st.tuples(inner, st.sampled_from("+-*/"), inner).map("".join)
        ),
        max_leaves=6,
    )


@given(expressions())
def test_values_are_those_of_python(text):
    """Read as Python, in fractions."""

    def of(node):
        if isinstance(node, ast.Constant):
            return Fraction(node.value)
        a, b = of(node.left), of(node.right)
        match node.op:
            case ast.Add():
                return a + b
            case ast.Sub():
                return a - b
            case ast.Mult():
                return a * b
        return a / b

    try:
        expected = of(ast.parse(text, mode="eval").body)
    except ZeroDivisionError:
        expected = None

    assert expected == value(_tokens(text))
