"""What counts as a word, and that Python and Rust agree on it."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios_core.memory.words import words
from aios_plugins._native import arrow_storage

TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cn"])
    | st.sampled_from("aİıß猫あ서ก\u0e31\u0301\u0307\u200d_ 9ⓐ"),  # noqa: RUF001
    max_size=12,
)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("", []),
        ("Hello, World_2!", ["hello", "world_2"]),
        ("Straße STRASSE STRAẞE", ["strasse"] * 3),
        ("İstanbul ISTANBUL ıstanbul", ["istanbul"] * 3),  # noqa: RUF001
        ("café CAFE\u0301", ["café"] * 2),
        ("ΟΔΟΣ οδος", ["οδοσ"] * 2),
        ("हिन्दी", ["हिन्दी"]),
        ("क्\u200dष", ["क्ष"]),
        ("黒い猫", ["黒", "い", "猫", "黒い", "い猫"]),
        ("v2の猫", ["v2", "の", "猫", "の猫"]),
        ("ก้าน", ["ก้", "า", "น", "ก้า", "าน"]),
        ("\u0301 😀 ⓐ", []),
    ],
)
def test_words(text, right):
    assert right == words(text)


def test_a_query_has_single_characters_only_where_there_is_no_pair():
    assert ["黒い", "い猫"] == words("黒い猫", query=True)
    assert ["猫", "dog"] == words("猫 dog", query=True)


@given(text=TEXTS)
def test_composition_and_case_do_not_matter(text):
    assert words(text) == words(unicodedata.normalize("NFD", text))
    assert words(text) == words(unicodedata.normalize("NFC", text).lower())


@given(text=TEXTS, query=st.booleans())
def test_rust_has_the_same_words(text, query):
    assert words(text, query=query) == arrow_storage.words(text, query=query)


def test_rust_has_the_same_words_for_every_character():
    """Of those that Unicode 14 knows: later ones are not in every Python."""
    known = unicodedata.ucd_3_2_0 if unicodedata.unidata_version < "14" else unicodedata
    wrong = []
    for code in range(0x110000):
        character = chr(code)
        if known.category(character) in ("Cn", "Cs"):
            continue
        text = f"a{character} {character}b 猫{character}猫"
        if words(text) != arrow_storage.words(text):
            wrong.append(f"{code:x}")

    assert [] == wrong
