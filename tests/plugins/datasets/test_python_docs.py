from __future__ import annotations

import ast
import sys
import textwrap

import pytest

from aios_core.errors import DataError
from aios_plugins.datasets.python_docs import PythonDocs, _documents, _topics


def test_is_worth_training_on():
    size = sum(map(len, PythonDocs().documents()))

    assert 1_500_000 < size < 5_000_000


def test_holds_topics_and_docstrings():
    documents = list(PythonDocs().documents())

    assert any(text.startswith('The "assert" statement') for text in documents)
    assert any(text.startswith(textwrap.__doc__.strip()) for text in documents)


def test_imports_nothing():
    assert "antigravity" not in sys.modules
    list(PythonDocs().documents())

    assert "antigravity" not in sys.modules, "it opens a browser when it is imported"


def test_takes_docstrings_in_the_order_of_the_source(tmp_path):
    (tmp_path / "b.py").write_text(
        '"""Module."""\nclass A:\n  """Class."""\n  def f(self):\n    """Method."""\n'
        'async def g():\n  """Function."""\n'
    )
    (tmp_path / "a.py").write_text("x = 1\n")
    package = tmp_path / "a_package"
    (package / "tests").mkdir(parents=True)
    (package / "__init__.py").write_text('"""Package."""')
    (package / "tests" / "c.py").write_text('"""Test."""')

    assert ("Package.", "Module.\n\nClass.\n\nMethod.\n\nFunction.") == _documents(tmp_path)


def test_topics_are_documents_of_their_own():
    tree = ast.parse("topics = {'b': 'second ', 'a': '\\nfirst'}")

    assert ["first", "second"] == _topics(tree)


def test_a_python_without_sources_is_told(tmp_path):
    with pytest.raises(DataError, match="no Python source"):
        _documents(tmp_path)
