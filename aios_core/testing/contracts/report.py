"""What every report must do."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest

from aios_core.component import blamed
from aios_core.testing.contracts.base import Contract, expect
from aios_core.testing.results import made_up

if TYPE_CHECKING:
    from aios_core.contracts import Report

_ARMS = {"base": [3.0, 3.1, 3.2], "other": [2.0, 2.2, 2.1]}


def _written(report: Report, folder: Path, **values: list[float | None]) -> Path:
    with blamed(report, "write"):
        path = report.write(made_up(folder, values or _ARMS, reference=1.0))
    return expect(path, Path, "write")


def _texts(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


class ReportContract(Contract["Report"]):
    """Subclass it and set ``component``: a report's class, or one that is built."""

    varied: ClassVar = {"test_writes_into_the_folder": {}}

    @classmethod
    def try_out(cls, plugin: Report) -> None:
        """Of an ablation of two arms with three seeds."""
        with blamed(plugin, "check"):
            plugin.check()
        with tempfile.TemporaryDirectory() as folder:
            _written(plugin, Path(folder))

    def test_writes_into_the_folder(self, instance: Report, tmp_path: Path) -> None:
        """What it returns is a file that is there, and stands in the folder of the results."""
        path = _written(instance, tmp_path)

        assert path.is_file(), f"write gives {path}; expected a file that it wrote"
        assert path.resolve().is_relative_to(tmp_path.resolve()), (
            f"write gives {path}; expected a file below results.folder"
        )

    def test_writes_the_same_again(self, instance: Report, tmp_path: Path) -> None:
        """A report is written anew whenever somebody asks for it."""
        _written(instance, tmp_path)
        before = _texts(tmp_path)
        _written(instance, tmp_path)

        assert before == _texts(tmp_path), "The same results, the same report"

    @pytest.mark.parametrize(
        "arms",
        [
            {"base": [3.0], "other": [2.0]},
            {"base": [3.0, None], "other": [None, None]},
            {"base": [None], "other": [None]},
            {"base": [3.0, 3.0]},
        ],
        ids=["one seed", "a failed arm", "nothing done", "one arm"],
    )
    def test_reports_what_there_is(
        self, instance: Report, tmp_path: Path, arms: dict[str, list[float | None]]
    ) -> None:
        """Trials fail, and an ablation may be read while it runs."""
        assert _written(instance, tmp_path, **arms).is_file()

    def test_leaves_the_results_alone(self, instance: Report, tmp_path: Path) -> None:
        """What trials and models left behind stays as it is."""
        stored = {"ablation.json": b"{}", "trials/base0/result.json": b"{}", "models/t/x": b"x"}
        for name, data in stored.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        _written(instance, tmp_path)
        text = _texts(tmp_path)

        assert stored == {name: text.get(name) for name in stored}
