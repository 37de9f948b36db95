"""The part of the storage contract that says what filters mean: the same on every backend.

What is right is computed here from the rows and from how a literal is written, by exact arithmetic
and without the parser that the stores use.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aios_core.errors import StorageError
from aios_core.testing.stores import schema

if TYPE_CHECKING:
    from aios_core.contracts import StorageBackend, VectorStore

_WHOLE: Final = [None, 0, 1, -3, 2020, 2021, 2**53 - 1, 2**53, 2**53 + 1, 2**53 + 2, 2**63 - 1]
_FLOATS: Final = [None, 0.0, -0.0, 1.0, 2.5, -1.5, 0.1, 2020.0, 2.0**53, 2.0**53 + 2, 1e300, 5e-324]
_TEXTS: Final = [None, "", "en", "EN", "it's", "a%b_c", "a_c", "abc", "\\", "a\nb", "100%", "2020"]
_ODD: Final = ["NULL", "'; DROP TABLE memory; --", "香蕉", "Straße", "%s", "{}", '"', "TRUE"]

ROWS: Final[list[dict[str, Any]]] = [
    {
        "id": f"f{n:02}",
        "text": None,
        "vector": [1.0, n, n % 3, 1.0],
        "lang": [*_TEXTS, *_ODD][n % 20],
        "year": -(2**63) if n == 23 else _WHOLE[n % 11],
        "price": _FLOATS[n % 12],
        "draft": [True, False, None][n % 3],
    }
    for n in range(40)
]

_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

Truth = Callable[[dict[str, Any]], bool | None]
"""Whether a filter chooses a row; None is SQL's unknown."""


def _about(column: str, holds: Callable[[Any], bool]) -> Truth:
    return lambda row: None if row[column] is None else bool(holds(row[column]))


def _number(column: str, text: str) -> Any:
    """What a number means to a column: exactly itself, or the nearest float64."""
    return Fraction(text) if column == "year" else Fraction(float(text))


def _like(pattern: str) -> Callable[[Any], bool]:
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    compiled = re.compile("".join(wild.get(p) or re.escape(p[-1]) for p in parts), re.DOTALL)
    return lambda text: compiled.fullmatch(text) is not None


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _not(part: Truth) -> Truth:
    def holds(row: dict[str, Any]) -> bool | None:
        inner = part(row)
        return None if inner is None else not inner

    return holds


def _all(parts: list[Truth]) -> Truth:
    def holds(row: dict[str, Any]) -> bool | None:
        seen = [part(row) for part in parts]
        return False if False in seen else None if None in seen else True

    return holds


Filter = tuple[str, Truth]


def compared(column: str, sign: str, text: str) -> Filter:
    """A number against a literal that is written in some way."""
    value = _number(column, text)
    return f"{column} {sign} {text}", _about(column, lambda x: _COMPARE[sign](Fraction(x), value))


def among(column: str, texts: list[str]) -> Filter:
    """A number among literals."""
    values = {_number(column, text) for text in texts}
    return f"{column} IN ({', '.join(texts)})", _about(column, lambda x: Fraction(x) in values)


def negated(part: Filter) -> Filter:
    """NOT, in front of parentheses."""
    return f"NOT ({part[0]})", _not(part[1])


def both(*parts: Filter) -> Filter:
    """AND."""
    return " AND ".join(f"({text})" for text, _ in parts), _all([truth for _, truth in parts])


def either(*parts: Filter) -> Filter:
    """OR, by the law of De Morgan."""
    truth = _not(_all([_not(truth) for _, truth in parts]))
    return " OR ".join(f"({text})" for text, _ in parts), truth


def _texts() -> list[Filter]:
    odd = [text for text in (*_TEXTS[1:], *_ODD) if text is not None]
    filters: list[Filter] = [
        (f"lang = {_quoted(text)}", _about("lang", partial(operator.eq, text))) for text in odd
    ]
    filters += [
        ("lang != 'en'", _about("lang", lambda x: x != "en")),
        ("lang IN ('en', 'it''s', 'no')", _about("lang", lambda x: x in ("en", "it's"))),
        ("lang NOT IN ('en', '')", _about("lang", lambda x: x not in ("en", ""))),
        ("lang IS NULL", lambda row: row["lang"] is None),
        ("lang IS NOT NULL", lambda row: row["lang"] is not None),
    ]
    return [*filters, *map(negated, filters[-5:-3])]


def _patterns() -> list[Filter]:
    """Those for backends that declare ``text filters``."""
    patterns = ["%", "_", "", "a%", "%b%", r"a\%b%", r"a\_c", "a_c", r"100\%", "\\\\", "a\\", "a%b"]
    patterns += [r"\a\b\c", "%'%", "%_%", "en", "%\n%", "__", "%s", "香_"]
    filters: list[Filter] = [
        (f"lang LIKE {_quoted(pattern)}", _about("lang", _like(pattern))) for pattern in patterns
    ]
    filters += [
        (f"lang NOT LIKE {_quoted(p)}", _not(_about("lang", _like(p)))) for p in ("a%", "%")
    ]
    for text in ("en", "a", "Z"):
        filters += [
            (f"lang < '{text}'", _about("lang", partial(_before, text))),
            (f"lang >= '{text}'", _not(_about("lang", partial(_before, text)))),
            (f"lang > '{text}'", _about("lang", partial(_after, text))),
            (f"lang <= '{text}'", _not(_about("lang", partial(_after, text)))),
        ]
    return filters


def _before(text: str, value: str) -> bool:
    return value.encode() < text.encode()


def _after(text: str, value: str) -> bool:
    return value.encode() > text.encode()


def _logic() -> list[Filter]:
    new, dear = compared("year", ">", "2020"), compared("price", ">=", "1")
    draft: Filter = ("draft", _about("draft", bool))
    filters = [
        draft,
        ("draft = FALSE", _about("draft", operator.not_)),
        ("draft != TRUE", _about("draft", operator.not_)),
        ("draft IN (TRUE, FALSE)", _about("draft", lambda _: True)),
        ("draft IS NULL", lambda row: row["draft"] is None),
        ("year IS NULL OR price IS NULL", lambda r: None in (r["year"], r["price"])),
        (
            "year BETWEEN 0.5 AND 2020",
            _about("year", lambda x: 1 <= x <= 2020),
        ),
        ("price NOT BETWEEN 0 AND 2", _about("price", lambda x: not 0 <= x <= 2)),
        both(new, dear),
        either(new, dear),
        negated(both(new, dear)),
        negated(either(new, dear, draft)),
        either(draft, negated(draft)),
        both(draft, negated(draft)),
        negated(negated(new)),
        # Of missing values neither is known; LanceDB took the two together for always true.
        either(compared("price", "!=", "0"), negated(among("price", ["0.5"]))),
        negated(both(among("price", ["1"]), negated(among("price", ["0.5", "2.5"])))),
        ("id = 'f03'", lambda r: r["id"] == "f03"),
        ("id IN ('f03', 'f04', 'x')", lambda r: r["id"] in ("f03", "f04")),
        ("id != 'f03'", lambda r: r["id"] != "f03"),
    ]
    return [*filters, negated(draft)]


def _numbers() -> list[Filter]:
    filters = []
    for column, texts in {
        "year": ["0", "2020", "2020.0", "2.02e3", "2020.5", "-0.5", "9007199254740993", "-3"],
        "price": ["0", "-0", "1", "1.0", "2020", "2.5", "0.1", "9007199254740993", "1e300", "-1"],
    }.items():
        for text in texts:
            signs = ["=", "!="] if "9007" in text and column == "year" else [*_COMPARE]
            filters += [compared(column, sign, text) for sign in signs if sign != "<>"]
        filters += [
            negated(compared(column, sign, number)) for sign in _COMPARE for number in ("1", "2020")
        ]
        for texts_in in (["2020"], ["0"], ["1.0", "2021"], ["2020.5"], ["0.5", "1"], ["1e0", "-3"]):
            filters += [among(column, texts_in), negated(among(column, texts_in))]
    filters += [compared("year", "=", str(n)) for n in (2**53, 2**53 + 1, 2**63 - 1, -(2**63))]
    return [*filters, among("year", [str(2**53 + 1), "9007199254740992.0"])]


FILTERS: Final = [*_numbers(), *_texts(), *_logic()]
"""With what is right; every backend takes them."""

TEXT_FILTERS: Final = _patterns()
"""The same for those that declare ``text filters``."""

REFUSED: Final = [
    "lang = 3",
    "year = 'x'",
    "year = '2020'",
    "price = '1'",
    "price IN (1, '2')",
    "draft = 1",
    "draft < TRUE",
    "draft IN (1)",
    "draft = 'TRUE'",
    "year = TRUE",
    "year LIKE '2%'",
    "year IN ()",
    "year = 9223372036854775808",
    "year > 1e30",
    "price = 1e999",
    "price = NaN",
    "price = NULL",
    "id = 3",
    "vector = 1",
    "vector IS NULL",
    "lang = 'a' OR 1 = 1",
    "1 = 1",
    "lang = 'a'; DROP TABLE memory",
    "lang = 'a' --",
    "lang = 'a' /* x */",
    "lang = 'a\0'",
    "lang = year",
    "lang = upper('a')",
    "",
]
"""No backend takes them."""


def written(*, texts: bool) -> st.SearchStrategy[Filter]:
    """Filters with literals written in any way.

    Args:
        texts: with LIKE and the order of texts.
    """
    whole = st.sampled_from([0, 1, -3, 2020, 2021, 2**53, 2**53 + 1])
    small = st.sampled_from([0, 1, -3, 2020, 2021])
    forms = [str, lambda n: f"{n}.0", lambda n: f"{n}e0", lambda n: f"{n}.50", lambda n: f"{n}0e-1"]
    form = st.sampled_from(forms)
    spelled = st.builds(lambda n, f: f(n), small, form)
    exact = st.builds(lambda n, f: f(n), whole, form)
    numeric = st.sampled_from(["year", "price"])
    sign = st.sampled_from([*_COMPARE])
    equal = st.sampled_from(["=", "!=", "<>"])
    wide = st.just("price")
    leaves: list[st.SearchStrategy[Filter]] = [
        st.builds(compared, numeric, sign, spelled),
        st.builds(compared, numeric, equal, exact),
        st.builds(compared, wide, sign, exact | st.sampled_from(["0.1", "-.5", "5e-324", "1e300"])),
        st.builds(among, numeric, st.lists(exact, min_size=1, max_size=3)),
        st.sampled_from([*_texts(), *_logic()]),
    ]
    if texts:
        leaves.append(st.sampled_from(TEXT_FILTERS))
    return st.recursive(
        st.one_of(leaves),
        lambda part: (
            st.builds(negated, part) | st.builds(both, part, part) | st.builds(either, part, part)
        ),
        max_leaves=4,
    )


class FilteringContract:
    """Tests over the fixtures of `StorageContract`."""

    examples: ClassVar[int] = 3

    @pytest.fixture(scope="class")
    @classmethod
    def chosen(cls, instance: StorageBackend, filled: Any, new_uri: Callable[[], str]) -> Any:  # noqa: ARG003
        """A store with `ROWS`; `filled` skips where a package is missing."""
        with instance.create(new_uri(), schema(), metric="l2") as store:
            store.add(ROWS)
            yield store

    def test_filters_mean_one_thing(self, chosen: VectorStore) -> None:
        """Fault V2: each finds, counts and deletes the rows that it is true of, and no others."""
        texts = "text filters" in chosen.backend.capabilities
        wrong = {}
        for text, truth in [*FILTERS, *(TEXT_FILTERS if texts else [])]:
            right = {row["id"] for row in ROWS if truth(row)}
            if right != (ids := _matching(chosen, text)):
                wrong[text] = ids ^ right
        assert {} == wrong
        for text, truth in FILTERS[::7]:
            gone = [row for row in ROWS if truth(row)]
            assert len(gone) == chosen.delete(filter=text), text
            rest = {row_id for part in chosen.to_batches() for row_id in part["id"].to_pylist()}
            assert {row["id"] for row in ROWS if not truth(row)} == rest, text
            chosen.add(gone)

    def test_literals_are_of_the_type_of_the_column(self, chosen: VectorStore) -> None:
        """Fault V2: text is no number, one is not TRUE, and nothing else than a filter is read."""
        for text in REFUSED:
            for ask in (chosen.count, lambda f: chosen.delete(filter=f)):
                with pytest.raises(StorageError, match="filter: "):
                    ask(text)
        assert len(ROWS) == chosen.count()

    def test_literals_may_be_written_in_any_way(self, chosen: VectorStore) -> None:
        """Fault V2: 2020, 2020.0 and 20200e-1 are one number, and 2020.5 lies between two."""

        @settings(
            deadline=None,
            max_examples=20 * self.examples,
            suppress_health_check=list(HealthCheck),
        )
        @given(drawn=written(texts="text filters" in chosen.backend.capabilities))
        def check(drawn: Filter) -> None:
            text, truth = drawn
            assert {row["id"] for row in ROWS if truth(row)} == _matching(chosen, text), text

        check()

    def test_whole_numbers_are_ordered_exactly(self, chosen: VectorStore) -> None:
        """Fault V2: also where float64 is too coarse, or the backend says that it cannot."""
        for number in (2**53 + 1, 2**53 - 1, 2**63 - 1, -(2**63), -(2**53) - 1):
            for sign in ("<", "<=", ">", ">="):
                text, truth = compared("year", sign, str(number))
                try:
                    ids = _matching(chosen, text)
                except StorageError as error:
                    ids = {"refused"} if "2^53" in str(error) else set()
                    assert abs(number) > 2**53, text
                right = {row["id"] for row in ROWS if truth(row)}
                assert ids in (right, {"refused"}), text

    def test_long_lists_are_filters(self, chosen: VectorStore) -> None:
        """Of thousands of literals."""
        ids = ", ".join(f"'x{n}'" for n in range(3000))
        assert 1 == chosen.count(f"id IN ({ids}, 'f07')")
        assert len(ROWS) - 1 == chosen.count(f"id NOT IN ({ids}, 'f07')")


def _matching(store: VectorStore, text: str) -> set[Any]:
    """Ids that a filter finds, which scanning, searching and counting agree about."""
    scanned = {
        row_id for part in store.to_batches(filter=text) for row_id in part["id"].to_pylist()
    }
    near = store.search([1, 1, 1, 1], 99, filter=text, exact=True)["id"].to_pylist()
    assert scanned == set(near), text
    assert len(scanned) == len(near) == store.count(text), text
    return scanned
