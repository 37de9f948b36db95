"""What is in the archives that others install.

Built without isolation and without a network, from what the environment has compiled already.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MATURIN = Path(sys.executable).with_name("maturin")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("cargo") is None or not (ROOT / "Cargo.toml").exists(),
        reason="needs a checkout and a Rust toolchain",
    ),
]


def build(folder, *arguments):
    """Runs maturin and returns the one archive that it leaves."""
    subprocess.run(
        [MATURIN, *arguments, "--out", folder],
        cwd=ROOT,
        env=os.environ | {"CARGO_NET_OFFLINE": "true"},
        check=True,
    )
    (archive,) = folder.iterdir()
    return archive


def sources():
    """The files of both packages that belong into every archive, as git would list them."""
    return {
        path.relative_to(ROOT).as_posix()
        for package in ("aios_core", "aios_plugins")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".so"
    }


def files(root, folder):
    """The bytes of all files in a folder, by their path from the root."""
    paths = (path for path in (root / folder).rglob("*") if path.is_file())
    return {path.relative_to(root): path.read_bytes() for path in paths}


def test_sdist_holds_all_that_a_build_needs(tmp_path):
    with tarfile.open(build(tmp_path, "sdist")) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}

    assert set() == sources() - names
    assert {"LICENSE", "README.md", "pyproject.toml", "Cargo.toml", "Cargo.lock"} <= names
    assert {"native/bindings/src/lib.rs", "native/fast_tokenizer/src/lib.rs"} <= names
    assert not [name for name in names if name.endswith(".so") or name.startswith("tests/")]


def test_sdist_holds_the_very_sources_that_digests_cover(tmp_path):
    with tarfile.open(build(tmp_path, "sdist")) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = (path for path in tmp_path.iterdir() if path.is_dir())

    crates = [path.relative_to(ROOT) for path in (ROOT / "native").glob("*/")]
    covered = [Path("Cargo.toml"), Path("Cargo.lock")]
    for crate in crates:
        assert files(unpacked, crate / "src") == files(ROOT, crate / "src")
        covered += [crate / name for name in ("Cargo.toml", "build.rs")]
    present = [path for path in covered if (ROOT / path).exists()]
    assert len(present) > len(crates) + 2
    for path in present:
        assert (unpacked / path).read_bytes() == (ROOT / path).read_bytes()


def test_wheel_holds_both_packages_and_nothing_else(tmp_path):
    wheel = build(tmp_path, "build", "--profile", "editable", "--compatibility", "linux")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entry_points = next(n for n in names if n.endswith(".dist-info/entry_points.txt"))
        declared = archive.read(entry_points).decode()

    packaged = {name for name in names if ".dist-info/" not in name}
    assert sources() | {"aios_plugins/_native.abi3.so"} == packaged
    assert {"aios_core/py.typed", "aios_plugins/py.typed"} <= packaged
    assert "aios_plugins/_native/fast_tokenizer.pyi" in packaged
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert "-cp311-abi3-" in wheel.name
    assert "tokenizers=aios_plugins.tokenizers" in declared.replace(" ", "")
    assert "aios=aios_core.cli:main" in declared.replace(" ", "")
