"""Hypothesis strategies, all of them: what the properties of this project are tested with."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from aios_core.contracts import Padding
from aios_core.filters import And, Compare, Expression, In, IsNull, Like, Not, Or

DTYPES: Final = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.float8_e4m3fn, torch.float8_e5m2),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
)
"""What a weight file holds."""


def texts() -> st.SearchStrategy[str]:
    """Any text, and texts that look like special tokens, contractions and runs of white space."""
    scraps = ["<mask>", "<pad>", "<bos>", "<eos>", "<|endoftext|>", "it's", " ", "\n\n", "\u3000"]
    return st.lists(st.text() | st.sampled_from(scraps), max_size=6).map("".join)


def paddings() -> st.SearchStrategy[Padding]:
    """Every way to cut and pad short texts."""
    sides = st.sampled_from(["left", "right"])
    return st.builds(
        Padding,
        max_length=st.integers(2, 20),
        padding=st.sampled_from(["longest", "max_length"]),
        padding_side=sides,
        truncation_side=sides,
        pad_to_multiple_of=st.integers(1, 5),
        bos=st.booleans(),
        eos=st.booleans(),
    ) | st.builds(Padding, padding_side=sides, bos=st.booleans(), eos=st.booleans())


def states(vocab: int = 3, length: int = 5, max_rows: int = 4) -> st.SearchStrategy[Tensor]:
    """Partly masked texts as samplers see them: (B, L) int64, the mask being token ``vocab``."""
    row = st.lists(st.integers(0, vocab), min_size=length, max_size=length)
    return st.lists(row, min_size=1, max_size=max_rows).map(torch.tensor)


def times(low: float = 0.0, high: float = 1.0) -> st.SearchStrategy[Tensor]:
    """Times of a diffusion, (n,) float64."""
    return st.lists(st.floats(low, high), min_size=1, max_size=8).map(
        lambda t: torch.tensor(t, dtype=torch.float64)
    )


MEMORY_COLUMNS = {"lang": "string", "year": "int64", "price": "float64", "draft": "bool"}
"""The metadata of `memories`."""

_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "lang": st.sampled_from(["en", "de", "", "it's", "a%b_c", "\\", "e\ne", "\u9999\u8549"]),
    "year": st.integers(-2, 2) | st.sampled_from([2**53 + 1, -(2**63)]),
    "price": st.sampled_from([-1.5, 0.0, 0.1, 2.0]),
    "draft": st.booleans(),
}


def memories(ids: st.SearchStrategy[Any], dim: int = 4) -> st.SearchStrategy[dict[str, Any]]:
    """Rows of a store with `MEMORY_COLUMNS`: few values, so that filters and ties meet them.

    Args:
        ids: of the rows.
        dim: D; vectors hold small whole numbers, so that scores are exact, and are never zero.
    """
    vectors = st.lists(st.integers(-2, 2).map(float), min_size=dim, max_size=dim).filter(any)
    words = st.lists(st.sampled_from(["cat", "Dog", "na\u00efve", "42", "the"]), max_size=4)
    metadata = {name: st.none() | values for name, values in _VALUES.items()}
    text = st.none() | words.map(" ".join)
    return st.fixed_dictionaries({"id": ids, "text": text, "vector": vectors, **metadata})


def filters(*, texts: bool = True) -> st.SearchStrategy[Expression]:
    """Filters over `MEMORY_COLUMNS`.

    Args:
        texts: with LIKE and the order of texts.
    """
    patterns = st.lists(
        st.sampled_from(["%", "_", "e", "\\%", "\\_", "\\\\", "\n", "it's"]), max_size=4
    )
    order: Any = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
    equal: Any = st.sampled_from(["=", "!="])
    small = {"lang": _VALUES["lang"], "year": st.integers(-2, 2), "price": _VALUES["price"]}
    leaves: list[st.SearchStrategy[Expression]] = [st.sampled_from([*_VALUES]).map(IsNull)]
    for name, values in small.items():
        if texts or name != "lang":
            leaves.append(st.builds(Compare, st.just(name), order, values))
    for name, values in _VALUES.items():
        leaves += [
            st.builds(Compare, st.just(name), equal, values),
            st.builds(In, st.just(name), st.lists(values, min_size=1, max_size=3).map(tuple)),
        ]
    if texts:
        leaves.append(st.builds(Like, st.just("lang"), patterns.map("".join)))

    def grow(part: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
        parts = st.lists(part, min_size=2, max_size=3).map(tuple)
        return st.builds(Not, part) | st.builds(And, parts) | st.builds(Or, parts)

    return st.recursive(st.one_of(leaves), grow, max_leaves=5)


def values() -> st.SearchStrategy[Any]:
    """Values of any type, of which a column keeps some and refuses others."""
    edges = [2**53 + 1, -(2**63), 2**63, 2**64 - 1, 2**60, 10**400, -0.0, 5e-324, 3.99]
    odd = [np.str_("x"), np.datetime64("2020"), [1], {}, 1j, "\ud800", "a\0b", "\\", "%s", "\n"]
    return (
        st.none()
        | st.text(max_size=4)
        | st.booleans()
        | st.booleans().map(np.bool_)
        | st.integers()
        | st.floats()
        | st.sampled_from(edges)
        | st.decimals()
        | st.fractions()
        | st.integers(-(2**63), 2**63 - 1).map(np.int64)
        | st.integers(0, 2**64 - 1).map(np.uint64)
        | st.floats(width=16).map(np.float16)
        | st.floats(width=32).map(np.float32)
        | st.floats().map(np.longdouble)
        | st.binary(max_size=3)
        | st.dates()
        | st.sampled_from(odd)
    )


def tensors() -> st.SearchStrategy[Tensor]:
    """Any bits at all, of the types that a weight file holds and of small shapes."""

    def make(drawn: tuple[torch.dtype, list[int], int]) -> Tensor:
        dtype, shape, seed = drawn
        generator = torch.Generator().manual_seed(seed)
        size = math.prod(shape) * dtype.itemsize
        high = 2 if dtype == torch.bool else 256
        data = torch.randint(high, (size,), generator=generator).to(torch.uint8)
        return data.view(dtype).view(shape)

    shapes = st.lists(st.integers(0, 9), max_size=3)
    return st.tuples(st.sampled_from(DTYPES), shapes, st.integers(0, 1 << 32)).map(make)


@st.composite
def weights(draw: st.DrawFn) -> Tensor:
    """Matrices of any size up to 9 x 200: outliers, constants, zeros, empty ones, all types."""
    rows, columns = draw(st.integers(0, 9)), draw(st.integers(0, 200))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1 << 32)))
    weight = torch.randn(rows, columns, generator=generator) * draw(
        st.sampled_from([0.02, 1.0, 50.0])
    )
    kind = draw(st.sampled_from(["plain", "constant", "outlier", "sparse", "one sign"]))
    if weight.numel() and kind == "constant":
        weight[:] = weight[0, 0]
    elif weight.numel() and kind == "outlier":
        weight[draw(st.integers(0, rows - 1)), draw(st.integers(0, columns - 1))] = 1000.0
    elif kind == "sparse":
        weight *= torch.rand(rows, columns, generator=generator) < 0.05
    elif kind == "one sign":
        weight = weight.abs() + 0.5
    return weight.to(draw(st.sampled_from([torch.float32, torch.float16, torch.bfloat16])))


def state_dicts() -> st.SearchStrategy[dict[str, Tensor]]:
    """Tensors by name; names are any texts that are Unicode."""
    names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
    return st.dictionaries(names, tensors(), max_size=5)


@st.composite
def toml_documents(draw: st.DrawFn) -> str:
    """TOML texts in all its ways to write a table or an array; each leaf is a string like «7».

    The number is the leaf's own, so that a test finds the line that it was written on.
    """
    return _TOML(draw).text


class _TOML:
    """Writes one document, drawing what stands in it and in which way."""

    _junk = ("", '# no [table], no \'string\' or """ here = {', "\t")

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._leaves = 0
        lines: list[str] = []
        self._table(self._tree(), (), lines)
        self.text = draw(st.sampled_from(["\n", "\r\n"])).join(lines)

    def _tree(self) -> dict[str, Any]:
        keys = st.sampled_from(["a", "b-c", "7"]) | st.text(max_size=3)
        inner = st.recursive(
            st.none(),
            lambda child: st.dictionaries(keys, child, max_size=3) | st.lists(child, max_size=3),
            max_leaves=8,
        )
        return self._draw(st.dictionaries(keys, inner, max_size=4))

    def _one_of(self, *options: str) -> str:
        return self._draw(st.sampled_from(options))

    def _key(self, key: str) -> str:
        if key.isascii() and key.replace("-", "").isalnum() and self._draw(st.booleans()):
            return key
        escaped = "".join(f"\\U{ord(c):08x}" for c in key)
        plain = key.isprintable() and "'" not in key
        return f"'{key}'" if plain and self._draw(st.booleans()) else f'"{escaped}"'

    def _leaf(self) -> str:
        self._leaves += 1
        mark = f"«{self._leaves}»"
        return self._one_of(
            f'"{mark}"',
            f'"{mark} \\" ] }} # \\\\"',
            f"'{mark} ] }} # \"'",
            f'"""{mark}\n x = 1 \\""" """',
            f'"""{mark}\n[x]"""""',
            f"'''{mark}\n[x] # '''''",
        )

    def _value(self, value: Any) -> str:
        """A value in one piece; arrays may take several lines."""
        if isinstance(value, dict):
            pairs = (f"{self._key(k)} = {self._value(v)}" for k, v in value.items())
            return f"{{ {', '.join(pairs)} }}"
        if isinstance(value, list):
            gap = self._one_of("", " ", "\n  ", "\n# ], «\n")
            inner = f"{gap},{gap}".join(self._value(item) for item in value)
            return f"[{gap}{inner}{gap}]"
        return self._leaf()

    def _table(self, table: dict[str, Any], path: tuple[str, ...], lines: list[str]) -> None:
        later = []
        for key, value in table.items():
            lines.append(self._one_of(*self._junk))
            header = isinstance(value, dict) or (
                isinstance(value, list)
                and len(value) > 0
                and all(isinstance(item, dict) for item in value)
            )
            style = self._one_of("header", "dotted", "inline") if header else "inline"
            if style == "header":
                later.append((key, value))
            elif style == "dotted" and isinstance(value, dict) and value:
                self._dotted(self._key(key), value, lines)
            else:
                lines.append(f"{self._key(key)} = {self._value(value)}  # «0»")
        for key, value in later:
            name = " . ".join(self._key(part) for part in (*path, key))
            for inner in value if isinstance(value, list) else [value]:
                lines.append(f" [[ {name} ]] # x" if isinstance(value, list) else f"[{name}]")
                self._table(inner, (*path, key), lines)

    def _dotted(self, prefix: str, table: dict[str, Any], lines: list[str]) -> None:
        for key, value in table.items():
            name = f"{prefix}{self._one_of('.', ' . ')}{self._key(key)}"
            if isinstance(value, dict) and value and self._draw(st.booleans()):
                self._dotted(name, value, lines)
            else:
                lines.append(f"{name} = {self._value(value)}")
