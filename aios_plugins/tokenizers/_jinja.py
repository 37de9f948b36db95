"""Jinja for templates that are not trusted; imported when there is one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, Final

from jinja2 import Template, TemplateSyntaxError, Undefined, __version__, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.runtime import Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from aios_plugins.tokenizers._sandbox import (
    DEPTH,
    MAX_BITS,
    SECONDS,
    WORK,
    CostlyError,
    RefusedError,
)

if tuple(map(int, __version__.split(".")[:3])) < (3, 1, 6):
    raise ImportError("the sandbox of earlier versions can be left")

_ITEM: Final = 16
_PASS: Final = 40
"""What an item costs, and a pass of a loop."""

DAY: Final = (2024, 7, 26, 12, 0, 0, 4, 208, 0)
"""What ``strftime_now`` takes for today, which published templates fall back to without it: the
same rows have the same ids on every day."""

_FILTERS: Final = frozenset((
    "abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "int", "items",
    "join", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr",
    "replace", "reverse", "round", "safe", "select", "selectattr", "sort", "string", "sum", "title",
    "tojson", "trim", "unique", "upper",
))  # fmt: skip
_METHODS: Final[Mapping[type, frozenset[str]]] = {
    str: frozenset((
        "capitalize", "count", "endswith", "find", "index", "isalnum", "isalpha", "isdigit",
        "islower", "isnumeric", "isspace", "isupper", "join", "lower", "lstrip", "partition",
        "removeprefix", "removesuffix", "replace", "rfind", "rpartition", "rsplit", "rstrip",
        "split", "splitlines", "startswith", "strip", "title", "upper",
    )),
    dict: frozenset(("get", "items", "keys", "values")),
    list: frozenset(("count", "index")),
    tuple: frozenset(("count", "index")),
}  # fmt: skip


class Generation(Extension):
    """``{% generation %}``: around what an assistant says, which changes no text."""

    tags = {"generation"}  # noqa: RUF012  # as the class has it

    def parse(self, parser: Any) -> list[nodes.Node]:
        next(parser.stream)
        body: list[nodes.Node] = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return body


class Metered(ImmutableSandboxedEnvironment):
    """One in which everything is paid for."""

    intercepted_binops = frozenset(("+", "*", "%", "**"))

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            optimized=False,
            extensions=[Generation, loopcontrols],
            finalize=self.written,
        )
        self.begin(WORK)
        own: dict[str, Any] = {
            "join": self.join,
            "replace": self.replace,
            "tojson": self.tojson,
            "safe": str,
        }
        kept = {name: f for name, f in self.filters.items() if name in _FILTERS} | own
        self.filters = {name: self._paid(function) for name, function in kept.items()}
        self.globals = {
            "dict": dict,
            "namespace": Namespace,
            "range": self.globals["range"],
            "raise_exception": _refuse,
            "strftime_now": _strftime,
        }

    def compiled(self, text: str) -> Template:
        """A template in which loops and macros pay, and whatever else makes values.

        Raises:
            ValueError: the text is none, or needs what there is not.
        """
        try:
            tree = _Meter().visit(self.parse(text))
            for node in tree.find_all(nodes.Node):
                node.lineno = node.lineno or 1
            code = self.compile(tree.set_environment(self))
        except TemplateSyntaxError as error:
            raise ValueError(f"line {error.lineno}: {error.message}") from error
        except (RecursionError, MemoryError, SyntaxError) as error:
            raise ValueError("expected a template, got one that is nested too deeply") from error
        return Template.from_code(self, code, self.make_globals(None), None)

    def begin(self, units: int) -> None:
        """A rendering, with so much to spend."""
        self._left, self._until = units, time.monotonic() + SECONDS

    def pay(self, units: int) -> str:
        """Spend; nothing to write."""
        self._left -= units
        if self._left < 0:
            raise CostlyError(
                "makes or repeats too much for these turns; expected a template that is in "
                f"proportion to them, within {WORK} units"
            )
        if time.monotonic() > self._until:
            raise CostlyError(f"takes more than {SECONDS} s")
        return ""

    def made(self, value: Any, depth: int = 0) -> Any:
        """A value, paid for with all that is in it."""
        if depth > DEPTH:
            raise CostlyError(f"expected at most {DEPTH} lists within each other")
        self.pay(_ITEM)
        if isinstance(value, str):
            self.pay(len(value))
        elif isinstance(value, dict):
            for key, item in value.items():
                self.made(key, depth + 1)
                self.made(item, depth + 1)
        elif isinstance(value, list | tuple | type({}.items()) | type({}.values())):
            for item in value:
                self.made(item, depth + 1)
        elif not isinstance(value, int | float | range | Macro | Undefined | None):
            raise CostlyError(f"expected text, numbers, lists or tables, got {type(value)}")
        return value

    def written(self, value: Any) -> str:
        """A value as it is written."""
        return str(self.made(value))

    def joined(self, values: list[Any]) -> str:
        """Of ``~``."""
        return "".join(map(self.written, values))

    def counted(self, values: Any) -> Any:
        """What a loop goes through, also what its condition leaves out."""
        self.pay(_size(values))
        return values

    def join(self, value: Iterable[Any], d: str = "", attribute: str | None = None) -> str:
        """The filter."""
        items = [v if attribute is None else self.getitem(v, attribute) for v in value]
        self.pay(len(str(d)) * len(items))
        return str(d).join(map(self.written, items))

    def replace(self, s: Any, old: str, new: str, count: int | None = None) -> str:
        """The filter."""
        text = str(s)
        self.pay(text.count(old) * len(new))
        return text.replace(old, new, -1 if count is None else count)

    def tojson(
        self,
        value: Any,
        ensure_ascii: bool = False,
        indent: int | None = None,
        separators: Any = None,
        sort_keys: bool = False,
    ) -> str:
        """The filter, as chat templates have it: nothing is escaped for HTML."""
        if indent is not None and not (type(indent) is int and 0 <= indent <= 8):
            raise CostlyError(f"expected an indent of 0 to 8, got {indent!r:.20}")
        return json.dumps(
            self.made(value),
            ensure_ascii=ensure_ascii,
            indent=indent,
            separators=None if separators is None else (separators[0][:8], separators[1][:8]),
            sort_keys=sort_keys,
        )

    def _paid(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def paid(*arguments: Any, **options: Any) -> Any:
            for value in (*arguments, *options.values()):
                self.pay(_size(value))
            result = function(*arguments, **options)
            self.pay(_size(result))
            return result

        return paid

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if not super().is_safe_attribute(obj, attr, value):
            return False
        if isinstance(obj, str | dict | list | tuple):
            methods = (names for kind, names in _METHODS.items() if isinstance(obj, kind))
            return attr in next(methods)
        return isinstance(obj, Namespace) or type(obj).__module__ == "jinja2.runtime"

    def wrap_str_format(self, value: Any) -> None:
        """No method of a text that formats is let through at all."""

    def call(self, context: Any, obj: Any, /, *arguments: Any, **options: Any) -> Any:
        owner, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
        if isinstance(owner, str) and name in ("replace", "join"):
            if name == "replace":
                return self.replace(owner, *arguments)
            return self.join(arguments[0], owner)
        if obj is Namespace:
            self.made([*arguments, options])
        result = super().call(context, obj, *arguments, **options)
        self.pay(_size(result))
        return self.made(result) if isinstance(result, dict) else result

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" or (operator == "%" and isinstance(left, str)):
            raise CostlyError(f"the operator {operator} is not for templates of chats")
        if operator == "*":
            bits = [v.bit_length() if isinstance(v, int) else 0 for v in (left, right)]
            if sum(bits) > MAX_BITS:
                raise CostlyError(f"expected numbers of at most {MAX_BITS} bits")
            for value, times in ((left, right), (right, left)):
                if isinstance(times, int) and not isinstance(value, int):
                    self.pay(_size(value) * max(times, 0))
        result = super().call_binop(context, operator, left, right)
        self.pay(_size(result))
        return result


class _Meter(NodeTransformer):
    """Lets what a template makes or repeats be paid for."""

    def paid(self, node: Any) -> Any:
        size = sum(len(data.data) for data in node.find_all(nodes.TemplateData))
        node = self.generic_visit(node)
        node.body.insert(0, nodes.Output([_call("pay", nodes.Const(_PASS + size))]))
        if isinstance(node, nodes.For):
            node.iter = _call("counted", node.iter)
        return node

    def made(self, node: Any) -> Any:
        node = self.generic_visit(node)
        return node if getattr(node, "ctx", "load") == "store" else _call("made", node)

    def joined(self, node: Any) -> Any:
        node = self.generic_visit(node)
        return _call("joined", nodes.List(node.nodes))

    visit_For = visit_Macro = visit_CallBlock = paid  # noqa: N815  # the library's names
    visit_List = visit_Tuple = visit_Dict = made  # noqa: N815
    visit_Concat = joined  # noqa: N815


def _call(name: str, *arguments: Any) -> nodes.Call:
    """A call of a method of the environment."""
    return nodes.Call(nodes.EnvironmentAttribute(name), list(arguments), [], None, None)


def _size(value: Any) -> int:
    """What a value costs whose items are paid for already."""
    if isinstance(value, str):
        return len(value)
    return _ITEM * len(value) if isinstance(value, list | tuple | dict | range) else 1


def _refuse(message: object) -> None:
    raise RefusedError(str(message)[:300])


def _strftime(form: str) -> str:
    return time.strftime(form[:80], DAY)
