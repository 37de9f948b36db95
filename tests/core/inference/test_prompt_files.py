"""Prompts of a file: lines of a text, or what rows are made of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aios_core.errors import DataError
from aios_core.inference.prompts import prompts_of
from aios_plugins.datasets.file import File
from aios_plugins.datasets.memories import Memories

TEXTS = File(Path("a.csv"))
STORIES = File(Path("a.csv"), key="story")
PAIRS = File(Path("a.csv"), prompt="{q}, {n}? ", answer="a")
PAIR = File(Path("a.csv"), prompt="{q}?", answer="a")
CHATS = File(Path("a.jsonl"), messages="m")


@pytest.mark.parametrize(
    ("dataset", "raw", "content", "expected"),
    [
        (TEXTS, False, "text,n\nmilk,1\n", [{"text": "milk", "n": "1"}]),
        (TEXTS, True, "text,n\nmilk,1\n", ["milk"]),
        (STORIES, False, "story\nmilk\n", [{"story": "milk"}]),
        (STORIES, False, "text\nmilk\n", ["milk"]),
        (PAIRS, False, 'q,n\n"a, b",1\nc,2\n', [{"q": "a, b", "n": "1"}, {"q": "c", "n": "2"}]),
        (PAIR, False, "text\nmilk\n", ["milk"]),
        (Memories("store"), False, "text\nmilk\n", ["milk"]),
    ],
)
def test_columns_are_those_of_the_run_or_a_text(tmp_path, dataset, raw, content, expected):
    (tmp_path / "p.csv").write_text(content)
    prompts = prompts_of(tmp_path / "p.csv", dataset, raw=raw)

    assert expected == [prompt for _, prompt in prompts]
    assert str(tmp_path / "p.csv:2") == prompts[0][0]


def test_chats_and_lines(tmp_path):
    (tmp_path / "p.jsonl").write_text(json.dumps({"m": [{"role": "user", "content": "a"}]}))
    (tmp_path / "p.txt").write_text("a\n\nq,n\n")

    assert [{"m": [{"role": "user", "content": "a"}]}] == [
        prompt for _, prompt in prompts_of(tmp_path / "p.jsonl", CHATS)
    ]
    assert [(f"{tmp_path / 'p.txt'}:{n}", text) for n, text in ((1, "a"), (3, "q,n"))] == (
        prompts_of(tmp_path / "p.txt", PAIRS)
    )


@pytest.mark.parametrize(
    ("dataset", "raw", "content", "expected"),
    [
        (PAIRS, False, "q\na\n", r"p\.csv:2: no column 'n'; expected one of q"),
        (PAIRS, True, "q,n\na,1\n", r"p\.csv:2: expected a text under the key `text`"),
        (Memories("store"), False, "q\na\n", r"p\.csv:2: expected a text under the key `text`"),
        (TEXTS, False, "text,n\n,1\n", r"p\.csv:2: expected a text under the key `text`"),
        (PAIRS, False, "q,n\n", r"p\.csv: holds no text"),
        (PAIRS, False, "q,n\n1\n", r"p\.csv:2: is not CSV: expected 2 values"),
    ],
)
def test_what_is_no_prompt_is_named(tmp_path, dataset, raw, content, expected):
    (tmp_path / "p.csv").write_text(content)
    with pytest.raises(DataError, match=expected):
        prompts_of(tmp_path / "p.csv", dataset, raw=raw)
