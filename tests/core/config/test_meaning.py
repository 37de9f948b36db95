"""What of source code counts in a key: all that can change a number, and nothing that cannot."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path

import pytest

from aios_core.config import meaning, syntax
from aios_core.errors import PluginError

SOURCE = '''
"""What it is for."""
from __future__ import annotations

from collections.abc import Iterator
from math import exp, log
from typing import TYPE_CHECKING, Final, overload

import attrs

if TYPE_CHECKING:
    from pathlib import Path

RATE: Final = 0.5
"""Of something."""


@attrs.frozen
class Curve:
    """One."""

    steps: int = 3
    """How many."""

    def at(self, t: float, *, path: Path | None = None) -> Iterator[float]:
        """Values.

        Raises:
            ValueError: t is negative.
        """
        if t < 0:
            raise ValueError(f"expected t >= 0, got {t}")
        total: float = exp(-t)  # why
        for step in range(self.steps):
            yield total * RATE**step + f"{t!r:>{self.steps}}".count("1")
'''


def digest(text: str) -> str:
    """Of the source of a module of some package."""
    return syntax.module(ast.parse(text), "mine", {"mine"}).digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""What it is for."""', ""),
        ('"""What it is for."""', '"""What it was for."""\n# and a comment'),
        ("from __future__ import annotations", ""),
        ("from math import exp, log", "from math import exp"),
        ("from math import exp, log", "from math import (\n    exp,\n)"),
        ("import attrs", "import attrs\nfrom typing import Any"),
        ("    from pathlib import Path", "    from os import PathLike as Path"),
        ("RATE: Final = 0.5", "RATE: float = 0.5"),
        ("RATE: Final = 0.5", "RATE = 0.50"),
        ("RATE: Final = 0.5", "RATE: Final = 0.5\nOTHER: int"),
        ('    """One."""\n', ""),
        ('    """How many."""', '    """How many there are."""'),
        ("t: float, *, path: Path | None = None", "t, *, path=None"),
        (" -> Iterator[float]", ""),
        ("total: float = exp(-t)  # why", "total = exp(\n            -t)"),
        ('raise ValueError(f"expected t >= 0, got {t}")', 'raise ValueError("t < 0")'),
        ("@attrs.frozen", "@overload\ndef f(x: int) -> int: ...\n@attrs.frozen"),
    ],
)
def test_what_changes_no_number_is_left_out(old, new):
    assert old in SOURCE
    assert digest(SOURCE) == digest(SOURCE.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0.5", "0.25"),
        ("0.5", "True"),
        ("3", "3.0"),
        ("from math import exp, log", "from torch import exp"),
        ("from math import exp, log", "from math import expm1 as exp"),
        ("steps: int", "steps: float"),
        ("steps: int", "number: int"),
        ("@attrs.frozen\n", ""),
        ("t < 0", "t <= 0"),
        ("raise ValueError(", "raise KeyError("),
        ("path: Path | None = None", "path: Path | None = 0"),
        ("-t", "t"),
        ("* RATE**step", "+ RATE**step"),
        ("range(self.steps)", "range(1, self.steps)"),
        ("{t!r:>", "{t!s:>"),
        ("{t!r:>", "{t!r:<"),
        ("if t < 0", "while t < 0"),
        ("for step in", "async for step in"),
        ('"1"', '"2"'),
        ('"1"', 'b"1"'),
        ("yield total", "yield -total"),
    ],
)
def test_what_may_change_a_number_counts(old, new):
    assert old in SOURCE
    assert digest(SOURCE) != digest(SOURCE.replace(old, new))


def test_every_python_writes_the_same():
    """A key that is made on one machine is found on another, which has a newer Python."""
    assert "06c01ca40cb25d1c6c4fc82b327ff15812cdf23c7b64fd0dff32f4960cdb4020" == digest(SOURCE)


def test_only_a_docstring_is_an_empty_body():
    assert digest("def f():\n    '''One.'''") == digest("def f():\n    pass")
    assert digest("def f():\n    '''One.'''") == digest("def f(): ...")
    assert digest("def f(): return ''") != digest("def f(): ''")
    assert digest("if x:\n    pass\nelse:\n    y()") != digest("if x:\n    y()")
    assert digest("a = [[1], 2]") != digest("a = [[1, 2]]")
    assert digest("a = [1]\nb = []") != digest("a = []\nb = [1]")


def test_what_stands_for_type_checkers_alone_is_dropped():
    plain = "from x import y\nif y:\n    z = 1\n"
    for text in (
        "from x import y\nimport typing\nif typing.TYPE_CHECKING:\n    import a\nif y:\n    z = 1",
        "from x import y\nif TYPE_CHECKING:\n    import a\nelse:\n    '''b'''\nif y:\n    z = 1",
    ):
        assert digest(plain) == digest(text)
    other = "from x import y\nif TYPE_CHECKING:\n    import a\nelse:\n    b = 2\nif y:\n    z = 1"
    assert digest(plain) != digest(other)


def test_hints_of_a_class_stay_wherever_the_class_is():
    """In a function, and after a method; those of its methods do not."""
    body = (
        "def f():\n    class A:\n        def g(self):\n            x: int = 1\n        n: {} = 2\n"
    )

    assert digest(body.format("int")) != digest(body.format("float"))
    assert digest(body.format("int")) == digest(body.format("int").replace("x: int", "x: float"))
    assert digest("f = lambda: 1\nx: int = 1") == digest("f = lambda: 1\nx = 1")
    assert digest("async def f(x: int) -> int: return x") == digest("async def f(x): return x")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write modules of a package, and forget what was read of them before."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(**modules: str) -> None:
        for name, text in modules.items():
            file = tmp_path / "seen" / f"{name.replace('__in__', '/')}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        forget()

    yield write
    forget()


def forget() -> None:
    importlib.invalidate_caches()
    for function in (meaning.read, meaning.targets, meaning._spec):
        function.cache_clear()


def seen(*roots: str, ignored: tuple[str, ...] = ()) -> set[str]:
    return set(meaning.closure([f"seen.{name}" for name in roots], ignored))


def test_imports_are_followed_in_the_own_package_and_in_ours(package):
    package(
        __init__="from .b import handed\n",
        a="from seen import handed, c\nimport json, aios_core.files\n"
        "def f():\n    from .inner.d import x as y\n    return handed, c, json, aios_core, y",
        b="handed = 1",
        c="from aios_core.contracts import NoiseScheduler\nclass A(NoiseScheduler): b = '''e'''",
        inner__in__d="from ..e import z\nx = z",
        e="z = 1",
        unused="",
    )
    result = seen("a", ignored=("aios_core.errors", "aios_core.redaction"))

    assert {
        "seen.a",
        "seen.b",
        "seen.c",
        "seen.inner.d",
        "seen.e",
        "aios_core.contracts.noise",
        "aios_core.files",
    } == result, "a package that hands a name on is passed"
    assert {"json"} == meaning.read("seen.a").libraries


def test_a_module_that_is_missing_is_an_error(package):
    package(__init__="", a="from seen.b import x\ny = x", c="(", d="from seen import e\ny = e")

    with pytest.raises(PluginError, match=r"seen\.b: .* expected a module, got none"):
        seen("a")
    with pytest.raises(PluginError, match=r"seen\.c: .* expected Python, got .*c\.py"):
        seen("c")
    with pytest.raises(PluginError, match="nowhere_at_all"):
        meaning.closure(["nowhere_at_all"])
    assert {"seen", "seen.d"} == seen("d"), "a name may be made as the package is loaded"


def test_a_module_may_do_without_another(package):
    text = "try:\n    from seen.b import x\nexcept ImportError:\n    x = 1\ny = x"
    package(__init__="", a=text)
    assert {"seen.a"} == seen("a")
    package(b="x = 2")
    assert {"seen.a", "seen.b"} == seen("a")


def digests(*roots: str) -> list[str]:
    return meaning.digests(meaning.closure([f"seen.{name}" for name in roots]))


def test_a_module_that_is_moved_keeps_its_hash(package):
    """Also where its new name is sorted elsewhere among the imports."""
    package(
        __init__="",
        a="from seen.b import x\nfrom seen.c import y\nz = x + y",
        b="x = 1",
        c="from seen.b import x\ny = x",
    )
    before = digests("a")
    package(
        a="from seen.c import y\nfrom seen.deep.other import x\nz = x + y",
        c="from .deep.other import x\ny = x",
        deep__in__other="x = 1",
    )
    assert {"seen.a", "seen.c", "seen.deep.other"} == seen("a")
    assert before == digests("a")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("b", "x = 2"),
        ("c", "from seen.b import x\ny = -x"),
        ("c", "from seen.d import x\ny = x"),
        ("a", "from seen.b import x\nfrom seen.d import y\nz = x + y"),
        ("a", "from seen.d import x\nfrom seen.c import y\nfrom seen.b import w\nz = x + y, w"),
    ],
)
def test_what_an_import_leads_to_counts(package, name, text):
    """Also where a name is imported from elsewhere, and both modules were there before."""
    package(
        __init__="",
        a="from seen.b import x\nfrom seen.c import y\nz = x + y",
        b="x = 1",
        c="from seen.b import x\ny = x",
        d="x = 3\ny = 4",
    )
    before = digests("a", "d")
    package(**{name: text})
    assert before != digests("a", "d")


def test_modules_hand_names_on(package):
    """Also those that do not use them."""
    package(__init__="", a="from seen.b import x\nz = x", b="from seen.c import y as x", c="y = 1")
    assert {"seen.a", "seen.c"} == seen("a")
    package(
        b="from seen.c import *\nfrom seen.c import y as x\nw = x", d="from seen.b import w\nv = w"
    )
    assert {"seen.b", "seen.c", "seen.d"} == seen("d")


def test_names_that_lead_in_a_circle_end(package):
    package(__init__="", a="from seen.b import x\nz = x", b="from seen.a import x\ny = x")
    assert {"seen.a", "seen.b"} == seen("a")


def test_a_compiled_module_counts_by_its_sources(monkeypatch):
    from aios_plugins import _native

    name = "aios_plugins._native.fast_tokenizer"
    results = set()
    for text in ("1" * 64, "2" * 64):
        monkeypatch.setattr(_native.fast_tokenizer, meaning.SOURCE_DIGEST, text, raising=False)
        forget()
        results |= {
            meaning.read(name).digest,
            meaning.read("aios_plugins._native.arrow_quant").digest,
        }
    monkeypatch.undo()
    forget()

    assert 3 == len(results), "the other was built from what it was built from"


def test_one_that_does_not_say_its_sources_counts_by_its_file(monkeypatch, tmp_path):
    file = tmp_path / f"whatever{meaning.EXTENSION_SUFFIXES[0]}"
    monkeypatch.setattr(meaning.importlib, "import_module", lambda _name: None)
    file.write_bytes(b"1")
    first = meaning._sources("whatever", file)
    file.write_bytes(b"2")

    assert first != meaning._sources("whatever", file)
    assert 64 == len(first)


def test_a_script_counts_by_its_file(tmp_path, monkeypatch):
    """A component may be written in the file that is run."""
    script = tmp_path / "script.py"
    script.write_text("from aios_core.contracts import NoiseScheduler\nx = NoiseScheduler")
    main = type(sys)("__main__")
    main.__file__ = str(script)
    monkeypatch.setitem(sys.modules, "__main__", main)
    forget()
    result = meaning.closure(["__main__"])
    forget()

    assert {"__main__", "aios_core.contracts.noise"} == set(result)


def test_no_file_of_ours_is_beyond_it():
    """Each is read, and each import in it leads somewhere."""
    import aios_core
    import aios_plugins

    names = []
    for module in (aios_core, aios_plugins):
        top = Path(module.__path__[0])
        for file in top.rglob("*.py"):
            if "template" not in file.as_posix():
                parts = [top.name, *file.relative_to(top).with_suffix("").parts]
                names.append(".".join(parts).removesuffix(".__init__"))
    result = meaning.closure(names)

    assert len(names) > 250
    assert set(names) <= set(result)
