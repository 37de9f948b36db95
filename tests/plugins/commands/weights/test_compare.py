"""What is said of tensors that differ."""

from pathlib import Path

import attrs
import pytest
import torch

from aios_core.contracts import TensorSource
from aios_core.formats import open_tensors
from aios_plugins.commands.weights.compare import differences
from aios_plugins.quantizers.rtn import Rtn

NAN, INF = torch.nan, torch.inf


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([2**60], [2**60 + 1], "1 of 1 values differ, by at most 1"),
        ([-(2**63), 0], [2**63 - 1, 0], f"1 of 2 values differ, by at most {2**64 - 1}"),
        ([1 + 2j, 0j], [1 + 5j, 0j], "1 of 2 values differ, by at most 3"),
        ([complex(0, NAN), 1j], [1 + 0j, 3j], "2 of 2 values differ, by at most 2, 1 where one"),
        ([-0.0, 1.0], [0.0, 1.0], "1 of 2 values differ, 1 in the sign of zero alone"),
        ([NAN, 1.0, 2.0], [NAN, 1.0, 2.5], "1 of 3 values differ, by at most 0.5"),
        (
            [NAN, 1.0],
            [0.0, 1.5],
            "2 of 2 values differ, by at most 0.5, 1 where one of both is nan",
        ),
        ([INF, 1.0], [1.0, 1.0], "1 of 2 values differ, by at most inf"),
        ([True, False], [True, True], "1 of 2 values differ"),
    ],
)
def test_the_difference_is_exact(tmp_path, recwarn, a, b, expected):
    """Fault T8: of 64-bit integers, complex numbers, zeros of both signs, and nan on both sides."""
    for name, values in (("a.pt", a), ("b.pt", b)):
        dtype = torch.float64 if isinstance(values[0], float) else None
        torch.save({"x": torch.tensor(values, dtype=dtype)}, tmp_path / name)
    result = dict(differences(*(open_tensors(tmp_path / name) for name in ("a.pt", "b.pt"))))

    assert [] == list(recwarn)
    assert result["x"].startswith(expected)
    assert len(expected) == len(result["x"]) or "where one" in expected


def test_two_kinds_of_nan_differ_in_bits_alone(tmp_path):
    """Fault T8."""
    for name, bits in (("a.pt", 0x7FC00000), ("b.pt", 0x7FC00001)):
        torch.save(
            {"x": torch.tensor([bits], dtype=torch.int32).view(torch.float32)}, tmp_path / name
        )
    result = dict(differences(*(open_tensors(tmp_path / name) for name in ("a.pt", "b.pt"))))

    assert {"x": "1 of 1 values differ, 1 in the bits of nan alone"} == result


def test_views_of_conjugates_are_their_values(tmp_path):
    x = torch.tensor([1 + 2j])
    torch.save({"x": x.conj()}, tmp_path / "a.pt")
    torch.save({"x": torch.tensor([1 - 2j])}, tmp_path / "b.pt")

    assert {} == dict(differences(*(open_tensors(tmp_path / name) for name in ("a.pt", "b.pt"))))


def test_packed_tensors_are_alike_in_every_part():
    """Whatever of a packed tensor differs is said, and what only one file has."""
    packed = Rtn(group_size=16).quantize(
        torch.randn(4, 32, generator=torch.Generator().manual_seed(0))
    )

    def source(**tensors):
        return TensorSource(Path("x"), tuple(tensors), tensors.__getitem__, {}, {})

    def difference(**change):
        other = source(w=attrs.evolve(packed, **change))
        return dict(differences(source(w=packed), other)).get("w")

    assert difference() is None
    assert "the codes differ" == difference(codes=packed.codes ^ 1)
    assert "the params differ" == difference(params=packed.params ^ 1)
    assert "dtype float32, and float16" == difference(dtype="float16")
    assert "group_size 16, and 32" == difference(group_size=32)
    assert "method rtn, and hqq" == difference(method="hqq")
    plain = torch.zeros(4, 32)
    reports = []
    results = list(
        differences(source(b=plain, a=plain, w=packed), source(c=plain, w=plain), reports.append)
    )
    assert [
        ("a", "only in the first"),
        ("b", "only in the first"),
        ("c", "only in the second"),
        ("w", "rtn in 4 bits 4x32, and float32 4x32"),
    ] == results
    assert ["a", "b", "c", "w"] == reports
