"""Components that are chosen by the suffix of a file's name: its reader, its format of tensors."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final

from aios_core.component import blamed
from aios_core.errors import DataError, PluginError
from aios_core.registry import Registry

if TYPE_CHECKING:
    from os import PathLike

    from aios_core.contracts import FileReader, TensorFormat
    from aios_core.contracts.tensor_format import TensorSource

logger = logging.getLogger(__name__)

TEXT: Final = "txt"
"""The reader of files whose suffix has none."""
WEIGHTS: Final = "parquet"
"""The format of files of tensors whose suffix has none, and that no format recognizes."""


def of_suffix(kind: str, path: Path, registry: Registry) -> Any:
    """The component whose name is the suffix of a file; None where there is none.

    A hyphen in a name stands for a dot, and the longest suffix counts.

    Args:
        kind: of the component, which is built without values.
        path: the file.
        registry: where components are looked up.

    Raises:
        PluginError: it cannot be used, or several plugins offer it and no pin settles which.
    """
    offered = {component.name for component in registry.offers(kind)}
    _, *parts = path.name.lower().split(".")
    for start in range(len(parts)):
        if "-" not in "".join(parts[start:]) and (name := "-".join(parts[start:])) in offered:
            return built(kind, name, registry)
    return None


def built(kind: str, name: str, registry: Registry) -> Any:
    """A component of a kind that no configuration holds.

    Args:
        kind: its kind.
        name: its registry name.
        registry: where it is looked up.

    Raises:
        PluginError: there is none, or it cannot be used.
    """
    cls = registry.get(kind, name).load()
    with blamed(cls, "__init__"):
        return cls()


def reader_of(path: Path, registry: Registry | None = None) -> FileReader:
    """The reader of a file: that of its suffix, or else that of text.

    Args:
        path: the file.
        registry: where readers are looked up; None discovers the installed ones.

    Raises:
        PluginError: it cannot be used.

    Examples:
        >>> reader_of(Path("notes.jsonl")), reader_of(Path("notes.md"))
        (JsonLines(...), Text(...))
    """
    registry = registry or Registry.discover(insist=False)
    reader: FileReader | None = of_suffix("reader", path, registry)
    return reader or built("reader", TEXT, registry)


def has_reader(path: Path, registry: Registry) -> bool:
    """Whether a file has a reader of its own, also inside of a compression."""
    name = path.name
    while True:
        reader = of_suffix("reader", Path(name), registry)
        if reader is None or reader.holds != "file":
            return reader is not None
        name = name.rpartition(".")[0]


def hidden(path: PurePath) -> bool:
    """Whether a file in a folder or an archive is no data.

    Its name, or that of a folder that it is in, begins with a dot or two underscores then, as in
    ``.git`` and ``__MACOSX``.

    Args:
        path: relative to that folder.
    """
    return any(part.startswith((".", "__")) and part not in (".", "..") for part in path.parts)


def kinds_of(paths: Iterable[PurePath]) -> str:
    """How many files there are of each kind, in words, as in ``.csv (3), .html (1)``.

    Args:
        paths: of the files.
    """
    kinds = Counter(path.suffix or path.name for path in paths)
    more = f" and {len(kinds) - 8} more kinds" if len(kinds) > 8 else ""
    return ", ".join(f"{kind} ({count})" for kind, count in kinds.most_common(8)) + more


def reader_named(name: str, registry: Registry | None = None) -> FileReader:
    """A reader by its registry name, for a file whose suffix does not say what it is.

    Args:
        name: such as ``"jsonl"``.
        registry: as for `reader_of`.

    Raises:
        PluginError: there is none, or it cannot be used.
    """
    match: FileReader = built("reader", name, registry or Registry.discover(insist=False))
    return match


def open_tensors(path: str | PathLike[str], registry: Registry | None = None) -> TensorSource:
    """Open a file of tensors: by the format of its suffix, or else by that which recognizes it.

    Args:
        path: the file.
        registry: where formats are looked up; None discovers the installed ones.

    Raises:
        ModelLoadError: it is missing, damaged, or holds something else than tensors by name.
        PluginError: its format cannot be used.
    """
    matches, registry = Path(path), registry or Registry.discover(insist=False)
    chosen: TensorFormat | None = of_suffix("tensor_format", matches, registry)
    weights = weight_format(registry)
    if chosen is None or type(chosen) is type(weights):
        chosen = _recognized(matches, registry) or weights
    return chosen.open(matches)


def weight_format(registry: Registry | None = None) -> TensorFormat:
    """The format of weight files: it keeps quantized tensors, a card and parts.

    Args:
        registry: as for `open_tensors`.

    Raises:
        PluginError: there is none, or it cannot be used.
    """
    known: TensorFormat = built(
        "tensor_format", WEIGHTS, registry or Registry.discover(insist=False)
    )
    return known


def save_tensors(
    source: TensorSource,
    path: str | PathLike[str],
    on_progress: Callable[[str], None] = lambda _: None,
    registry: Registry | None = None,
) -> Path:
    """Write all tensors into a file of the format that its suffix says, or a weight file of ours.

    Args:
        source: what to write.
        path: where.
        on_progress: called with the name of each tensor that is done.
        registry: as for `open_tensors`.

    Returns:
        The file that opens it: `path`, or the index of shards where it is too large for one.

    Raises:
        ModelLoadError: a tensor of the source is damaged.
        ModelSaveError: the format has no such tensors, or it cannot be written.
        PluginError: the format cannot be used.
    """
    target, registry = Path(path), registry or Registry.discover(insist=False)
    chosen: TensorFormat | None = of_suffix("tensor_format", target, registry)
    return (chosen or weight_format(registry)).save(source, target, on_progress)


def _recognized(path: Path, registry: Registry) -> TensorFormat | None:
    """The first format that knows a file by its first bytes; None where there are none to read."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return None
    for component in registry.components("tensor_format"):
        try:
            known: TensorFormat = built("tensor_format", component.name, registry)
            with blamed(known, "recognizes"):
                if known.recognizes(head):
                    return known
        except PluginError as error:  # its files are known by their suffix, if at all
            logger.warning("%s", error)
    return None


def texts_of(file: Path) -> Iterator[tuple[str, str]]:
    """Texts of a file, each with where it is; of plain text each line that is not blank.

    Raises:
        DataError: the file has no such texts, or an empty one.
    """
    from aios_core.contracts import TextSettings

    reader = reader_of(file)
    for where, text in reader.texts(file, TextSettings()):
        if not reader.plain:
            if not text:
                raise DataError(f'{where}: expected an object with a text under the key "text"')
            yield where, text
            continue
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                yield f"{file}:{number}", line.rstrip("\r")
