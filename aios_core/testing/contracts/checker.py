"""What every checker must do."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import pytest

from aios_core.contracts import Completion, Row, Segment
from aios_core.testing.contracts.base import Contract

if TYPE_CHECKING:
    from aios_core.contracts import Checker

HOSTILE: Final = {
    "nothing": "",
    "zero": "\0",
    "deep lists": "[" * 100_000,
    "deep objects": '{"a":' * 100_000,
    "deep brackets": "(" * 100_000 + "1" + ")" * 100_000,
    "a large power": "9" * 10 + "**9" * 1000,
    "a large number": "9" * 100_000,
    "large exponents": "1e999999999",
    "division by zero": "1/0",
    "code": "__import__('os').abort()",
    "many spaces": " " * 100_000,
    "a hard text for backtracking": "a" * 50_000 + "!",
    "other digits": "\u0661\u0662\u0663\u0664 \u00b2 \U0001d7ce",
    "other letters": "\u202e\ufeff\u0000\U0010ffff",
    "half a character": "\ud800",
    "not a number": "NaN",
}
"""Texts that a network may write, or others who mean harm."""


def completion(given: str, answer: str, reference: str = "reference") -> Completion:
    """A prompt and what was sampled behind it.

    Args:
        given: the prompt; where it is empty, the row is one target.
        answer: what was sampled.
        reference: the answer of the row.
    """
    segments = (Segment("prompt", given, "given"), Segment("answer", reference))
    return Completion(Row(segments if given else segments[1:]), given + answer, answer)


class CheckerContract(Contract["Checker"]):
    """Subclass it and set ``component``: a checker's class, or one that is built."""

    varied: ClassVar = {
        "test_any_text_has_a_verdict": {"answer": HOSTILE["deep brackets"]},
        "test_any_prompt_has_a_verdict": {"given": HOSTILE["a large number"]},
    }

    @classmethod
    def try_out(cls, plugin: Checker) -> None:
        """Whether a sample is right, as a bool."""
        _verdict(plugin, completion("1 2 3 6:", "1+2+3"))

    @pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
    def test_any_text_has_a_verdict(self, instance: Checker, answer: str) -> None:
        """A network may write anything; that is no error, and a text is never run."""
        _verdict(instance, completion("1 2 3 6:", answer))
        _verdict(instance, completion("", answer))

    @pytest.mark.parametrize("given", HOSTILE.values(), ids=HOSTILE)
    def test_any_prompt_has_a_verdict(self, instance: Checker, given: str) -> None:
        """Rows come from files of others."""
        _verdict(instance, completion(given, "1+2+3"))
        _verdict(instance, completion("1 2 3 6:", "1+2+3", reference=given))

    def test_rows_without_text_have_a_verdict(self, instance: Checker) -> None:
        """A row may hold segments of other modalities, and absent ones."""
        row = Row((Segment("picture", b"\0", "given", "image"), Segment("text", "1", "absent")))
        _verdict(instance, Completion(row, "12", "12"))

    def test_the_same_sample_has_the_same_verdict(self, instance: Checker) -> None:
        """A checker keeps no state."""
        for answer in ("1+2+3", "{}", "1234"):
            first = _verdict(instance, completion("1 2 3 6:", answer))
            _verdict(instance, completion("4 5 6 7:", "another"))
            assert first == _verdict(instance, completion("1 2 3 6:", answer))


def _verdict(checker: Checker, sample: Completion) -> bool:
    verdict = checker.check(sample)
    assert type(verdict) is bool, f"check gives {verdict!r:.80}; expected True or False"
    return verdict
