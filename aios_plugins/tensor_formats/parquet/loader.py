"""WeightLoader: a model's tensors, each of which exists from the moment it is touched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from aios_core import strict_json
from aios_core.contracts import QuantizedTensor
from aios_core.errors import ModelLoadError
from aios_plugins.tensor_formats.parquet.file import WeightFile
from aios_plugins.tensor_formats.parquet.layout import DTYPES, FORMAT, PACKING, WEIGHTS, index_path

if TYPE_CHECKING:
    from os import PathLike

    from torch import Tensor

    from aios_plugins.tensor_formats.parquet.layout import Entry


class WeightLoader(Mapping[str, "Tensor | QuantizedTensor"]):
    """The tensors of one part of a weight file, by name.

        loader = WeightLoader.open("model.parquet")
        loader.card, len(loader)
        weight = loader["layers.0.weight"]

    A tensor is a view of the mapped file and takes no memory but the pages that are read. Writing
    to it changes this process's view and never the file. Quantized tensors stay packed. A tensor is
    held against its digest when it is first touched, which reads it once.

    Copied, and not viewed, are: tensors of more than one chunk, those at an offset that is no
    multiple of their element (other writers' files; ours align to 64 bytes), and everything where
    the file is not mapped. A mapped file must not be truncated while it is used; replacing it by
    another one under its name is safe.

    Args:
        files: the shards.
        part: which tensors are meant.
        verify: whether to hold tensors against their digests.

    Attributes:
        tied: names whose tensor is that of another name, which it has in the file.
    """

    def __init__(
        self, files: tuple[WeightFile, ...], part: str = WEIGHTS, *, verify: bool = True
    ) -> None:
        self.files, self._part, self._verify = files, part, verify
        self._where: dict[str, WeightFile] = {}
        self.tied: dict[str, str] = {}
        self._verified: set[str] = set()
        for file in files:
            tied = file.entries.tied if part == WEIGHTS else {}
            self.tied |= tied
            for name in (*(name for own, name in file.entries if own == part), *tied):
                if name in self._where:
                    other = self._where[name].path
                    raise ModelLoadError(f"{file.path}: {name!r:.200} stands in {other} too")
                self._where[name] = file

    @classmethod
    def open(cls, path: str | PathLike[str], *, mmap: bool = True, verify: bool = True) -> Self:
        """Open a file, or all shards of one.

        Args:
            path: of the file; where it was written in shards, the name that it would have as one
                file, or its ``.index.json``.
            mmap: map files; False reads tensors into memory as they are touched, which is much
                faster where the disk is behind a network.
            verify: whether to hold tensors against their digests when they are touched.

        Raises:
            ModelLoadError: a file is missing, truncated, changed, or no weight file.
        """
        place = Path(path)
        index = place if place.name.endswith(".index.json") else index_path(place)
        while True:
            before = _state(index)
            try:
                files = _files(place, index, mapped=mmap)
            except ModelLoadError:
                if _state(index) == before:
                    raise
                continue  # another process wrote the model anew meanwhile
            return cls(files, verify=verify)

    def part(self, part: str) -> WeightLoader:
        """The tensors of another part; none where there is no such part."""
        return WeightLoader(self.files, part, verify=self._verify)

    @property
    def card(self) -> dict[str, Any]:
        """The model card."""
        return self.files[0].card if self.files else {}

    def entry(self, name: str) -> Entry:
        """What is known of a tensor without touching it."""
        return self._where[name].entries[self._part, self.tied.get(name, name)]

    def file(self, name: str) -> WeightFile:
        """The file that a tensor lies in."""
        return self._where[name]

    def check(self, name: str) -> None:
        """Hold a tensor against its digest.

        Raises:
            ModelLoadError: a byte is changed; the message names file and tensor.
        """
        file, entry = self._where[name], self.entry(name)
        with file.naming(entry):
            for column, run in entry.runs:
                file.check(run, column)

    def __getitem__(self, name: str) -> Tensor | QuantizedTensor:
        """A tensor.

        Raises:
            KeyError: there is none of that name.
            ModelLoadError: a byte of it is changed.
        """
        file, entry = self._where[name], self.entry(name)
        if self._verify and name not in self._verified:
            self.check(name)
            self._verified.add(name)
        with file.naming(entry):
            payload = _joined(file, entry)
            packing = entry.packing
            if packing is None:
                return _typed(payload, entry)
            return QuantizedTensor(
                codes=payload,
                params=file.read(packing.params),
                shape=entry.shape,
                dtype=entry.dtype,
                **{word: getattr(packing, word) for word in PACKING},
            )

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def __len__(self) -> int:
        return len(self._where)


def _joined(file: WeightFile, entry: Entry) -> Tensor:
    if len(entry.chunks) == 1:
        return file.read(entry.chunks[0])
    import torch

    return torch.cat([file.read(chunk) for chunk in entry.chunks])


def _typed(payload: Tensor, entry: Entry) -> Tensor:
    """Bytes as the tensor that they are."""
    import torch

    if payload.data_ptr() % DTYPES[entry.dtype]:
        payload = payload.clone()
    dtype: torch.dtype = getattr(torch, entry.dtype)
    if not payload.numel():
        return torch.empty(entry.shape, dtype=dtype)
    return payload.view(dtype).view(entry.shape)


def _state(index: Path) -> object:
    """What changes whenever shards are written anew."""
    try:
        stat = index.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def _files(place: Path, index: Path, *, mapped: bool) -> tuple[WeightFile, ...]:
    """A file, or the shards that an index names."""
    if place != index and not index.exists():
        return (WeightFile(place, mapped=mapped),)
    shards = _shards(index)
    files = tuple(WeightFile(index.with_name(name), mapped=mapped) for name in shards)
    for file, expected in zip(files, shards.values(), strict=True):
        if file.digest != expected:
            raise ModelLoadError(f"{file.path}: is not the shard that {index} was written with")
    return files


def _shards(index: Path) -> dict[str, str]:
    """Names of the shards and their digests."""
    try:
        values = strict_json.loads(index.read_text(encoding="utf-8"))
        version, shards = values["format"], values["shards"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelLoadError(f"{index}: is not an index of shards: {error!r:.200}") from error
    if type(version) is not int or version > FORMAT:
        raise ModelLoadError(f"{index}: has format {version!r:.20}; this version reads {FORMAT}")
    if not isinstance(shards, dict) or not shards:
        raise ModelLoadError(f"{index}: names no shards")
    for name, shard_digest in shards.items():
        if not name or Path(name).name != name or not isinstance(shard_digest, str):
            raise ModelLoadError(f"{index}: {name!r:.80} is not the name of a file beside it")
    return shards
