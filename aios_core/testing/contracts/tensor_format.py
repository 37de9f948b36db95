"""What every format of tensors must do."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from aios_core.contracts import QuantizedTensor, TensorSource
from aios_core.errors import ModelLoadError, ModelSaveError
from aios_core.testing.contracts.base import Contract, expect
from aios_core.testing.contracts.reader import damaged

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import TensorFormat


def tensors() -> dict[str, Tensor]:
    """Of many types and shapes; values that are not finite, and no values at all."""
    made = torch.Generator().manual_seed(0)
    floats = torch.randn(5, 7, generator=made)
    floats[0, :3] = torch.tensor([torch.nan, torch.inf, -0.0])
    kinds = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
    whole = torch.randint(-100, 100, (6,), generator=made)
    return {
        **{f"layers.{number}.weight": floats.to(kind) for number, kind in enumerate(kinds)},
        **{f"ids.{kind}": whole.to(kind) for kind in (torch.int8, torch.uint8, torch.int64)},
        "flags": whole > 0,
        "scalar": torch.tensor(1.5),
        "none": torch.empty(0, 3),
        "turned": floats.T,
    }


def packed() -> QuantizedTensor:
    """Four bits a weight, one group a row."""
    return QuantizedTensor(
        codes=torch.arange(64, dtype=torch.uint8),
        params=torch.arange(8, dtype=torch.uint8),
        shape=(4, 32),
        dtype="float32",
        bits=4,
        group_size=32,
        scheme="symmetric",
        method="rtn",
        layout="rows",
        param_fmt="f16",
    )


class TensorFormatContract(Contract["TensorFormat"]):
    """Subclass it and set ``component``: a format's class, or one that is built."""

    @classmethod
    def try_out(cls, plugin: TensorFormat) -> None:
        """Whether bytes are of the format."""
        expect(plugin.recognizes(b""), bool, "recognizes")

    @pytest.fixture
    def written(self, instance: TensorFormat, tmp_path: Path) -> Path:
        """A file with `tensors`."""
        if instance.reads_only:
            pytest.skip("it writes no files, which is allowed")
        return instance.save(_source(tensors()), tmp_path / "m.tensors", lambda _: None)

    def test_is_built_without_values(self, instance: TensorFormat) -> None:
        """No configuration holds one, so its fields have defaults."""
        type(instance)()

    def test_what_is_read_is_what_was_written(self, instance: TensorFormat, written: Path) -> None:
        """Bit for bit, whatever type and shape; nothing else lies beside it."""
        opened, expected = instance.open(written), tensors()
        assert {*expected} == {*opened.names, *opened.tied}
        for name, tensor in expected.items():
            back = opened.get(opened.tied.get(name, name))
            assert isinstance(back, torch.Tensor)
            assert (tensor.dtype, tensor.shape) == (back.dtype, back.shape), name
            assert _bits(tensor) == _bits(back), f"{name!r} has other bits"
        assert [written] == list(written.parent.iterdir())

    def test_progress_names_each_tensor(self, instance: TensorFormat, tmp_path: Path) -> None:
        """Once, in any order."""
        if instance.reads_only:
            return
        seen: list[str] = []
        instance.save(_source(tensors()), tmp_path / "m.tensors", seen.append)
        assert sorted(tensors()) == sorted(seen)

    def test_quantized_tensors_are_kept_or_refused(
        self, instance: TensorFormat, tmp_path: Path
    ) -> None:
        """A format that has none says so by name."""
        if instance.reads_only:
            return
        given, path = packed(), tmp_path / "m.tensors"
        try:
            written = instance.save(_source({"packed": given}), path, lambda _: None)
        except ModelSaveError as error:
            _assert_named("'packed' is quantized", error)
            assert not path.exists(), "a file stayed"
            return
        name = instance.open(written).get("packed")
        assert isinstance(name, QuantizedTensor), "it is quantized no more"
        assert torch.equal(given.codes, name.codes)

    def test_damaged_files_are_refused_or_read(self, instance: TensorFormat, written: Path) -> None:
        """Whatever bytes they hold: tensors, or an error of ours that names the file."""
        path = written.with_name("damaged.tensors")
        for data in damaged(written.read_bytes()):
            path.write_bytes(data)
            try:
                opened = instance.open(path)
                for name in opened.names:
                    opened.get(name)
            except ModelLoadError as error:
                _assert_named(path.name, error)
            except Exception as error:
                error.add_note(f"of a file with {data[:40]!r}")
                raise

    def test_nothing_is_unpickled(
        self, instance: TensorFormat, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """By a file that would print when it is."""
        trap, path = _Trap(), tmp_path / "trap.tensors"
        path.write_bytes(pickle.dumps({"a": trap}))
        with pytest.raises(ModelLoadError):
            instance.open(path)
        torch.save({"a": trap}, path)
        with pytest.raises(ModelLoadError):
            instance.open(path)
        assert "unpickled" not in capsys.readouterr().out

    def test_a_missing_file_is_named(self, instance: TensorFormat, tmp_path: Path) -> None:
        """Whoever asked for it knows which."""
        with pytest.raises(ModelLoadError, match=r"missing\.tensors"):
            instance.open(tmp_path / "missing.tensors")


class _Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("unpickled",)


def _source(by_name: dict[str, Tensor] | dict[str, QuantizedTensor]) -> TensorSource:
    return TensorSource(Path("made"), tuple(by_name), by_name.__getitem__, {}, {})


def _bits(tensor: Tensor) -> bytes:
    flat = tensor.contiguous().flatten()
    return bytes(flat.view(torch.uint8).tolist()) if flat.numel() else b""


def _assert_named(what: str, error: Exception) -> None:
    assert what in str(error), f"{error} does not name {what}"
