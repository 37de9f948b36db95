"""Templates of others: what they may do, and what it costs them."""

import pytest

from aios_plugins.tokenizers._sandbox import (
    MAX_TEMPLATE,
    CostlyError,
    RefusedError,
    Sandbox,
    sandbox,
)

TURNS = [{"role": "user", "content": "a </think>b"}, {"role": "assistant", "content": "c\n"}]
GROWING = "{% set ns = namespace(x='aa') %}{% for i in range(60) %}BODY{% endfor %}{{ ns.x }}"


def rendered(text, turns=TURNS, **names):
    return Sandbox(text).render(turns, names)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ messages[0]['role'] + messages[1].content|trim }}", "userc"),
        ("{{ bos_token }}{{ eos_token is defined }}{{ unk_token }}", "<s>False"),
        ("{{ messages[0].content.split('</think>')[-1].lstrip('\\n') }}", "b"),
        ("{% for m in messages[::-1] %}{{ loop.index0 ~ m.role[0] }}{% endfor %}", "0a1u"),
        ("{% for m in messages %}{{ m.role }}{% break %}{% endfor %}", "user"),
        ("{% generation %}{{ messages[1].content }}{% endgeneration %}|", "c\n|"),
        ("{% set n = namespace(n=3) %}{% for m in [4, 5] %}{% set n.n = m %}{% endfor %}{{ n.n }}",
         "5"),
        ("{{ 5 * 'x' }}", "xxxxx"),
        ("{% macro f(x, y='') %}<{{ x }}{{ y }}>{% endmacro %}{{ f('a') + f('b', y='c') }}",
         "<a><bc>"),
        ("{% set (a, b) = (1, 2) %}{{ [a, b]|sum }}{{ (a, b)|join('-') }}", "31-2"),
        ("{{ {'a': ['<é>']}|tojson }}{{ [1]|tojson(indent=2) }}", '{"a": ["<é>"]}[\n  1\n]'),
        ("{% for k, v in {'x': 1}.items() %}{{ k }}{{ v }}{% endfor %}{{ tools is none }}",
         "x1True"),
        ("{{ messages|selectattr('role', 'equalto', 'user')|list|length }}", "1"),
        ("{{ messages|map(attribute='role')|join(',') }}", "user,assistant"),
        ("{{ 'a-b'.replace('-', '+') }}{{ 'a-b'|replace('-', '') }}{{ ','.join(['x', 'y']) }}",
         "a+babx,y"),
        ("{{ '<b>'|safe + '&' }}{{ messages[0] is mapping }}{{ 'x' if false }}", "<b>&True"),
        ("  {% if true %}\n  a\n  {% endif %}\nb\n", "  a\nb"),
    ],
)  # fmt: skip
def test_what_chat_templates_need(text, expected):
    assert expected == rendered(text, bos_token="<s>")


def test_a_day_is_always_the_same():
    """A run is repeated on another day, with the same ids."""
    assert "26 Jul 2024" == rendered("{{ strftime_now('%d %b %Y') }}")


def test_turns_are_no_templates():
    turns = [{"role": "user", "content": "{{ 7 * 7 }}{% raw %}"}]
    assert "{{ 7 * 7 }}{% raw %}" == rendered("{{ messages[0].content }}", turns)


@pytest.mark.parametrize(
    "text",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) if false %}{% endfor %}" * 5,
        "{% for a in range(9999) %}" + "x" * 9999 + "{% endfor %}",
        "{% macro m(n) %}{% if n %}{{ m(n - 1) + m(n - 1) }}{% endif %}{% endmacro %}{{ m(40) }}",
        GROWING.replace("BODY", "{% set ns.x = ns.x + ns.x %}"),
        GROWING.replace("BODY", "{% set ns.x = ns.x ~ ns.x %}"),
        GROWING.replace("BODY", "{% set ns.x = ns.x * 2 %}"),
        GROWING.replace("BODY", "{% set ns.x = 2 * ns.x %}"),
        GROWING.replace("BODY", "{% set ns.x = ns.x|replace('a', ns.x) %}"),
        GROWING.replace("BODY", "{% set ns.x = ns.x.replace('a', ns.x) %}"),
        GROWING.replace("BODY", "{% set ns.x = ns.x|join(ns.x) %}"),
        GROWING.replace("BODY", "{% set ns.x = ns.x.join([ns.x, ns.x, ns.x]) %}"),
        GROWING.replace("BODY", "{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}"),
        GROWING.replace("BODY", "{% set ns.x = [ns.x, ns.x] %}"),
        GROWING.replace("BODY", "{% set ns.x = (ns.x, ns.x) %}"),
        GROWING.replace("BODY", "{% set ns.x = {'a': ns.x, 'b': ns.x} %}"),
        GROWING.replace("BODY", "{% set ns.x = dict(a=ns.x, b=ns.x) %}"),
        GROWING.replace("'aa'", "9").replace("BODY", "{% set ns.x = ns.x * ns.x %}"),
        "{{ 'a' * 9999999999 }}",
        "{{ 10 ** 10 ** 10 }}",
        "{{ '%0999999999d' % 1 }}",
        "{{ [[1] * 9999999] * 9999999 }}",
        "{{ (range(99999)|list)|tojson * 1000 }}",
        "{{ [1]|tojson(indent=99999999) }}",
    ],
)
def test_nothing_is_made_or_repeated_without_measure(text):
    with pytest.raises(CostlyError):
        rendered(text)


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ''['__class__'].x }}",
        "{{ messages|map(attribute='__class__')|map(attribute='__mro__')|list|first }}",
        "{{ raise_exception.__globals__.x }}",
        "{{ namespace.__init__.__globals__ }}",
        "{% for m in messages %}{{ loop.__init__.__globals__ }}{% endfor %}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update({}) }}",
        "{{ messages[0].pop('role') }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ '{:9999999999}'.format(1) }}",
        "{{ 'a'.ljust(9999999999) }}",
        "{{ 'a'.format_map({}) }}",
        "{{ 'a'.encode() }}",
        "{{ dict.fromkeys(range(9)) }}",
        "{{ lipsum() }}",
        "{{ cycler('a') }}",
        "{{ self }}",
        "{{ namespace(a=namespace()) }}",
        "{{ [raise_exception] }}",
        "{% include 'a' %}",
        "{% import 'a' as b %}",
        "{% extends 'a' %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% for a in range(9) recursive %}{{ loop(range(9)) }}{% endfor %}",
        "{{ 1 + 'a' }}",
        "{{ missing.attribute }}",
    ],
)
def test_nothing_else_can_be_reached(text):
    with pytest.raises(ValueError, match=r"."):
        rendered(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{% if %}", "line 1: Expected an expression"),
        ("\n{{ 'a'|center(99) }}", "line 2: No filter named 'center'"),
        ("{{ messages|random }}", "No filter named 'random'"),
        ("{% do messages.pop() %}", "unknown tag 'do'"),
        ("{% generation %}", "line 1: "),
        ("x" * (MAX_TEMPLATE + 1), f"at most {MAX_TEMPLATE} characters, got {MAX_TEMPLATE + 1}"),
        ("{{ " + "(" * 9999 + ")" * 9999 + " }}", "nested too deeply"),
    ],
)
def test_what_is_no_template(text, expected):
    with pytest.raises(ValueError, match=r".") as caught:
        Sandbox(text)
    assert expected in str(caught.value)


def test_a_template_that_refuses():
    with pytest.raises(RefusedError, match=r"^no system$"):
        rendered("{{ raise_exception('no ' + 'system') }}")


def test_the_budget_grows_with_the_turns_and_is_new_each_time():
    text = "{% for m in messages %}{{ m.content }}{% endfor %}"
    long = [{"role": "user", "content": "x" * 99_999}] * 99
    for _ in range(2):
        assert 99 * 99_999 == len(sandbox(text).render(long, {}))
    assert sandbox(text) is sandbox(text)
