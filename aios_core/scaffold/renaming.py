"""An example under another name: its identifiers change, and its prose stays."""

from __future__ import annotations

import ast
import io
import keyword
import re
import tokenize
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import frozen

from aios_core.errors import PluginError

if TYPE_CHECKING:
    from aios_core.kinds import Kind

_OFFER: Final = re.compile(r'return {"(.+)": (\w+)}')


@frozen
class Example:
    """The example of a kind."""

    kind: Kind
    source: str
    """Of its module."""
    name: str
    """That it offers."""
    cls: str
    """The name of the class that it offers."""

    @classmethod
    def of(cls, kind: Kind) -> Example:
        """The one that the kind names.

        Raises:
            PluginError: it names none, or that offers nothing.
        """
        try:
            spec = find_spec(kind.example) if kind.example else None
            path = Path(spec.origin if spec and spec.origin else "")
            source = path.read_text(encoding="utf-8")
        except (ImportError, OSError, ValueError) as error:
            raise PluginError(f"the kind {kind.name!r} has no example: {error}") from error
        offer = _OFFER.search(source)
        if offer is None:
            raise PluginError(
                f'{path}: expected an example that ends in return {{"name": Class}}, got another'
            )
        return cls(kind, source, *offer.groups())

    @property
    def noun(self) -> str:
        """What a component of its kind is called, as in ``"A noise schedule"``."""
        return self.source.removeprefix('"""').partition(":")[0]

    def class_for(self, name: str) -> str:
        """The name of the class that is offered under a name.

        It begins with the kind where the name alone would be no identifier, would hide one that the
        module uses, or would look like a test to pytest.
        """
        words = re.findall(r"[a-z]+|\d+", name)
        cls = "".join(word.capitalize() for word in words)
        bad = keyword.iskeyword(cls) or not cls.isidentifier() or cls in self._used()
        title = "".join(word.capitalize() for word in self.kind.name.split("_"))
        return f"{title}{cls}" if bad or cls.startswith("Test") else cls

    def renamed(self, name: str) -> str:
        """The source, offering its class under another name."""
        new = {self.cls: self.class_for(name), f'"{self.name}"': f'"{name}"'}
        lines = self.source.splitlines(keepends=True)
        tokens = tokenize.generate_tokens(io.StringIO(self.source).readline)
        for token in reversed(list(tokens)):  # from the end, so that what is left keeps its place
            if token.type in {tokenize.NAME, tokenize.STRING} and token.string in new:
                (row, start), (_, end) = token.start, token.end
                line = lines[row - 1]
                lines[row - 1] = line[:start] + new[token.string] + line[end:]
        return "".join(lines)

    def _used(self) -> set[str]:
        """Identifiers of its module, besides the class that is offered."""
        used = set()
        for node in ast.walk(ast.parse(self.source)):
            if isinstance(node, ast.Name):
                used.add(node.id)
            elif isinstance(node, ast.alias):
                used.add(node.asname or node.name)
            elif isinstance(node, ast.ClassDef | ast.FunctionDef):
                used.add(node.name)
        return used - {self.cls}
