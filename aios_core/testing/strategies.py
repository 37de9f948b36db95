"""Hypothesis strategies, all of them: what the properties of this project are tested with."""

from __future__ import annotations

from hypothesis import strategies as st


def texts() -> st.SearchStrategy[str]:
    """Any text, and texts that look like special tokens, contractions and runs of white space."""
    scraps = ["<mask>", "<pad>", "<bos>", "<eos>", "<|endoftext|>", "it's", " ", "\n\n", "\u3000"]
    return st.lists(st.text() | st.sampled_from(scraps), max_size=6).map("".join)
