"""The words of a text, in any language: what texts are searched by, in every backend.

A text is folded: NFC, then letter by letter to lower, upper and lower case again, which knows
neither the case nor whether an i has a dot, and takes STRASSE, Straße and STRAẞE for one word. Its
words are the runs of letters, numbers, marks and underscores; joiners without width are left out.
Scripts that put no spaces between words are cut into pairs of neighbouring characters, each with
its marks, as CJK text is in Lucene; Korean as well, whose particles stand at the end of words.
A character alone is found by itself: texts have single characters beside their pairs, queries only
where there is no pair.

The crate ``arrow_storage`` has the same in Rust, for which a test compares every character that
Unicode 14 knows.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from itertools import pairwise
from typing import Final

_DENSE: Final = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1100, 0x11FF),  # Hangul
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19DF),  # Tai Le, New Tai Lue
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x2E80, 0x2FDF),  # radicals
    (0x3005, 0x3007),
    (0x3021, 0x3029),
    (0x3031, 0x303C),
    (0x3041, 0x318F),  # Hiragana, Katakana, Bopomofo, Hangul
    (0x31A0, 0x31BF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xA960, 0xA97F),  # Hangul
    (0xA9E0, 0xA9FF),  # Myanmar
    (0xAA60, 0xAA7F),
    (0xAC00, 0xD7FF),  # Hangul
    (0xF900, 0xFAFF),  # Han
    (0xFF66, 0xFFDC),  # of half width
    (0x1B000, 0x1B16F),
    (0x20000, 0x3FFFF),  # Han
)
"""Characters of scripts that are cut into pairs, first and last ones of ranges."""


def words(text: str, *, query: bool = False) -> list[str]:
    """The words of a text, in its order.

    Args:
        text: in any language.
        query: whether it is what is searched for.
    """
    if text.isascii():
        return re.findall(r"\w+", text.lower())
    runs, characters = _patterns()
    result = []
    for dense, plain in runs.findall(folded(text)):
        if plain:
            result.append(plain)
            continue
        single = characters.findall(dense)
        if len(single) == 1 or not query:
            result += single
        result += [first + second for first, second in pairwise(single)]
    return result


def folded(text: str) -> str:
    """A text as others of the same letters are, whatever their case and composition."""
    text = unicodedata.normalize("NFC", text).lower().upper().lower().replace("ς", "σ")  # noqa: RUF001
    text = text.replace("\u200c", "").replace("\u200d", "")
    return unicodedata.normalize("NFC", text).replace("i\u0307", "i")


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Runs of dense or of plain characters, and the characters of a dense run."""
    planes = (*range(0x300, 0x20000), *range(0xE0000, 0xE0200))  # no others have marks
    marks = _ranges([code for code in planes if unicodedata.category(chr(code))[0] == "M"])
    dense = "".join(f"{chr(first)}-{chr(last)}" for first, last in _DENSE)
    unit = f"(?=[\\w{marks}])[{dense}][{marks}]*"
    plain = f"(?:(?![{dense}])[{marks}])*(?:(?![{dense}])\\w[{marks}]*)+"
    return re.compile(f"((?:{unit})+)|({plain})"), re.compile(unit)


def _ranges(codes: list[int]) -> str:
    """Characters as the inside of a class of a regular expression."""
    parts: list[list[int]] = []
    for code in codes:
        if parts and parts[-1][1] == code - 1:
            parts[-1][1] = code
        else:
            parts.append([code, code])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in parts)
