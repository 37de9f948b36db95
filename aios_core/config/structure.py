"""Builds the attrs classes of a configuration from a tree, and tells every fault at once."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from attrs import NOTHING, Attribute, frozen

from aios_core.config.document import Node, Origin, tree
from aios_core.config.requirements import unmet
from aios_core.config.schema import Config, config_of
from aios_core.config.types import WRONG, convert, describe, fields, hints, kind_of, show
from aios_core.errors import ConfigError, PluginError, refusal
from aios_core.registry import PART

if TYPE_CHECKING:
    from aios_core.config.lines import KeyPath
    from aios_core.registry import Component, Registry


@frozen
class Section:
    """What reading a section gave, kept for trees that share its node."""

    node: Node | None
    """Held, so that its identity stays its own."""
    made: Any
    values: Any
    components: tuple[Component, ...]
    paths: tuple[KeyPath, ...]


@frozen
class Memo:
    """What trees have in common: the trials of a sweep share most of their sections."""

    sections: dict[tuple[str, int], Section] = attrs.field(factory=dict)
    """By name and identity of their node."""
    counted: dict[tuple[object, ...], Any] = attrs.field(factory=dict)
    """What counts of them in a key; `aios_core.config.keys` fills it."""


class Reader:
    """One reading of a tree; `config` is what it gives, and the attributes what was met.

    Args:
        registry: where components are looked up.
        memo: sections that were read before, with the same registry; read ones are added.

    Attributes:
        problems: faults, each with its place, in no order.
        components: those named, in the order of the sections.
        values: the tree with every default written out; keys that hold None are left out.
        paths: keys of the values that are paths of files.
    """

    def __init__(self, registry: Registry, memo: Memo | None = None) -> None:
        self.problems: list[tuple[Origin, str]] = []
        self.components: list[Component] = []
        self.values: dict[str, Any] = {}
        self.paths: list[KeyPath] = []
        self._registry = registry
        self._memo = memo or Memo()
        self._schema: Any = config_of(registry)
        self._contracts = {kind.contract: kind.name for kind in registry.kinds.values()}
        self._parts: dict[int, tuple[Any, str]] = {}  # components inside others, and their names

    def config(self, root: Node) -> Config:
        """The whole configuration.

        Raises:
            ConfigError: with all that is wrong.
        """
        given: dict[str, Any] = {}
        self._unknown_keys(root, fields(self._schema), (), "section")
        own: list[tuple[str, Section]] = []
        for key, attribute in fields(self._schema).items():
            read = self._read(attribute, root.get(key), root)
            own.append((key, read))
            if read.made is not NOTHING:
                given[key] = read.made
        self._required(root.get("plugins"))
        config = self._make(self._schema, given, root, ())
        if self.problems:
            # By line within a file; files and overrides as they come.
            names = list(dict.fromkeys(source.name for source, _ in self.problems))
            self.problems.sort(key=lambda problem: (names.index(problem[0].name), problem[0].line))
            raise ConfigError(*(text for _, text in self.problems))
        for key, read in own:
            self._keep(key, read, getattr(config, key))
        return config  # type: ignore[no-any-return]  # WRONG would have come with a problem

    def _read(self, attribute: Attribute[Any], node: Node | None, root: Node) -> Section:
        """A section, read now or before; one that is not there and no component gives NOTHING."""
        key = attribute.name
        if (known := self._memo.sections.get((key, id(node)))) is not None:
            return known
        before, values, made = len(self.components), NOTHING, NOTHING
        if attribute.metadata.get("many"):
            made, values = self._several(attribute, node, root)
        elif "kind" in attribute.metadata:
            made, values = self._component(attribute, node or Node({}, root.source), (key,))
        elif node is not None:
            made = convert(node, hints(self._schema)[key], (key,), self)
        components = tuple(self.components[before:])
        del self.components[before:]
        paths = tuple(path for path in self.paths if path[0] == key)
        self.paths = [path for path in self.paths if path[0] != key]
        return Section(node, made, values, components, paths)

    def _keep(self, key: str, read: Section, made: Any) -> None:
        """Take a section that has no fault into what was met, and into the memo."""
        if read.made is NOTHING and made is None:  # a section that is unset
            return
        if read.values is NOTHING:
            values = self._plain(made, (key,))
            paths = tuple(path for path in self.paths if path[0] == key)
            self.paths = [path for path in self.paths if path[0] != key]
            read = Section(read.node, made, values, (), paths)
        self._memo.sections[key, id(read.node)] = read
        self.values[key] = read.values
        self.components.extend(read.components)
        self.paths.extend(read.paths)

    def section(self, key: str, root: Node) -> Any:
        """The component of one section, or its components, whatever the others say.

        Raises:
            ConfigError: with all that is wrong in it, and sections that are unknown.
        """
        self._unknown_keys(root, fields(self._schema), (), "section")
        attribute, node = fields(self._schema)[key], root.get(key)
        if attribute.metadata["many"]:
            made, self.values[key] = self._several(attribute, node, root)
        else:
            made, self.values[key] = self._component(
                attribute, node or Node({}, root.source), (key,)
            )
        if self.problems:
            raise ConfigError(*(text for _, text in self.problems))
        return made

    def tell(self, node: Node, key: KeyPath, message: str) -> None:
        """Record a problem."""
        self.problems.append((node.source, node.source.problem(key, message)))

    def build(self, cls: Any, table: Node, key: KeyPath, *, besides: tuple[str, ...] = ()) -> Any:
        """An attrs class from a table that may have some keys besides, or `WRONG`."""
        self._unknown_keys(table, [*besides, *fields(cls)], key, "key")
        given = {}
        for name, attribute in fields(cls).items():
            hint = hints(cls)[attribute.name]
            node = _with_default(attribute, table)
            if node is not None:
                given[name] = convert(node, hint, (*key, name), self)
            elif attribute.default is NOTHING:
                given[name] = WRONG
                self.tell(table, (*key, name), f"is missing; expected {describe(hint)}")
        return self._make(cls, given, table, key)

    def kind_of(self, hint: Any) -> str | None:
        """The kind whose contract a type is; None: it is the contract of none."""
        return kind_of(hint, self._contracts)

    def part(self, kind: str, node: Node, key: KeyPath) -> Any:
        """A component that another one holds, or `WRONG`; its table always names its type."""
        made, name = self._named(kind, None, node, key)
        if made is not WRONG:
            self._parts[id(made)] = made, name
        return made

    def _several(self, attribute: Attribute[Any], node: Node | None, root: Node) -> Any:
        """The components of an array of tables, and their values."""
        name = attribute.name
        if node is None:
            node = tree(
                [{"type": default} for default in attribute.metadata["default"]], root.source
            )
        if not isinstance(node.value, list):
            self.tell(
                node, (name,), f"expected an array of tables, [[{name}]], got {show(node.value)}"
            )
            return WRONG, []
        pairs = [self._component(attribute, item, (name, i)) for i, item in enumerate(node.value)]
        made = [component for component, _ in pairs]
        return (WRONG if WRONG in made else tuple(made)), [values for _, values in pairs]

    def _component(self, attribute: Attribute[Any], node: Node, key: KeyPath) -> Any:
        """A component of a section, and its values."""
        kind, default = attribute.metadata["kind"], attribute.metadata["default"]
        made, name = self._named(kind, default, node, key)
        return made, {} if made is WRONG else {"type": name, **self._plain(made, key)}

    def _named(self, kind: str, default: str | None, node: Node, key: KeyPath) -> Any:
        """The component that a table names, and this name.

        Args:
            kind: of the component.
            default: its name where the table has none; None: it must have one.
            node: the table.
            key: of the table.
        """
        if not isinstance(node.value, dict):
            self.tell(node, key, f"expected a table with a key type, got {show(node.value)}")
            return WRONG, None
        named = node.get("type") or tree(default, node.source)
        if not isinstance(named.value, str):
            fault = "is missing; expected" if "type" not in node.value else "expected"
            self.tell(named, (*key, "type"), f"{fault} the name of a {kind}, as a string")
            return WRONG, None
        try:
            component = self._registry.get(kind, named.value)
            made = self.build(component.load(), node, key, besides=("type",))
        except PluginError as error:
            self.tell(named, (*key, "type"), str(error))
            return WRONG, None
        self.components.append(component)
        return made, named.value

    def _make(self, cls: Any, given: dict[str, Any], table: Node, key: KeyPath) -> Any:
        """An instance, once each validator had its say about the values that are right so far."""
        before = len(self.problems)
        self._validate(cls, given, table, key)
        if len(self.problems) > before or WRONG in given.values():
            return WRONG
        try:
            return cls(**given)
        except Exception as error:  # noqa: BLE001  # whatever a plugin's class raises is its answer
            self.tell(table, key, _worded(error))
            return WRONG

    def _validate(self, cls: Any, given: dict[str, Any], table: Node, key: KeyPath) -> None:
        """Run the validators one by one on a probe, for a constructor stops at the first fault."""
        probe: Any = object.__new__(cls)
        for name, attribute in fields(cls).items():
            if given.get(name, WRONG) is not WRONG:
                object.__setattr__(probe, attribute.name, given[name])
            elif attribute.default is not NOTHING:
                object.__setattr__(probe, attribute.name, _default(attribute, probe))
        for name, attribute in fields(cls).items():
            value = given.get(name, WRONG)
            if value is WRONG or attribute.validator is None or attribute.converter is not None:
                continue
            try:
                attribute.validator(probe, attribute, value)
            except Exception as error:  # noqa: BLE001  # as above
                # One that looks at a field which has no right value yet has nothing to say.
                if not (isinstance(error, AttributeError) and WRONG in given.values()):
                    self.tell(table.value.get(name, table), (*key, name), _worded(error))

    def _unknown_keys(self, table: Node, known: Collection[str], key: KeyPath, what: str) -> None:
        for name, node in table.value.items():
            if name not in known:
                near = get_close_matches(name, known, n=1)
                meant = f"did you mean {near[0]!r}? " if near else ""
                names = ", ".join(known) or "none"
                self.tell(node, (*key, name), f"unknown {what}; {meant}known: {names}")

    def _required(self, plugins: Node | None) -> None:
        """Tell which of the distributions that the file requires are not there."""
        require = plugins.get("require") if plugins is not None else None
        if require is None or not isinstance(require.value, list):
            return
        for index, node in enumerate(require.value):
            fault = unmet(node.value) if isinstance(node.value, str) else None
            if fault:
                self.tell(node, ("plugins", "require", index), fault)

    def _plain(self, value: Any, key: KeyPath) -> Any:
        """What a file would say to mean a value."""
        if attrs.has(type(value)):
            pairs = [(k, getattr(value, a.name)) for k, a in fields(type(value)).items()]
            _, name = self._parts.get(id(value), (value, None))
            named = {} if name is None else {"type": name}
            return named | {k: self._plain(v, (*key, k)) for k, v in pairs if v is not None}
        if isinstance(value, Mapping):
            return {k: self._plain(v, (*key, k)) for k, v in value.items()}
        if isinstance(value, tuple | list):
            return [self._plain(item, (*key, i)) for i, item in enumerate(value)]
        if isinstance(value, Path):
            self.paths.append(key)
            return str(value)
        return value


def _with_default(attribute: Attribute[Any], table: Node) -> Node | None:
    """What a table says of a field; of a component that has a default, this where it says none."""
    node = table.get(attribute.alias or attribute.name)
    if PART not in attribute.metadata:
        return node
    default = tree(attribute.metadata[PART], table.source)
    if node is None:
        return default
    if isinstance(node.value, dict) and "type" not in node.value:
        return Node({"type": default.value["type"], **node.value}, node.source)
    return node


def _default(attribute: Attribute[Any], probe: Any) -> Any:
    default: Any = attribute.default
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # a class, typed as a function
        return default.factory(probe) if default.takes_self else default.factory()
    return default


def _worded(error: Exception) -> str:
    """A validator's message without the name of the field, which the key before it tells."""
    return re.sub(r"^(`\w+`: |'\w+' (?=must ))", "", refusal(error))
