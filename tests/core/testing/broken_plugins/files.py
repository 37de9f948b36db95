"""Broken stores and formats."""

import torch
from attrs import evolve

from aios_core.scaffold.examples.storage import Exact
from aios_core.scaffold.examples.tensor_format import Hexadecimal
from broken_plugins.offers import offer


def searching(change):
    """An index whose search is changed."""

    def index(self, dim, metric):
        made = Exact().index(dim, metric)
        made.search = change(made.search)
        return made

    return index


@offer("storage", "few")
class Few(Exact):
    index = searching(lambda own: lambda v, q, k, *a, **o: own(v, q, min(k, 3), *a, **o))


@offer("storage", "worst-first")
class WorstFirst(Exact):
    index = searching(lambda own: lambda *a, **o: tuple(x[::-1].copy() for x in own(*a, **o)))


@offer("storage", "unfiltered")
class Unfiltered(Exact):
    index = searching(lambda own: lambda v, q, k, allowed, *a, **o: own(v, q, k, None, *a, **o))


@offer("storage", "losing")
class LosingTheFirst(Exact):
    index = searching(lambda own: lambda *a, **o: tuple(x[1:] for x in own(*a, **o)))


@offer("tensor_format", "rounding")
class Rounding(Hexadecimal):
    def open(self, path):
        made = super().open(path)
        return evolve(made, get=lambda name: made.get(name).nan_to_num())


@offer("tensor_format", "trusting")
class TrustingFormat(Hexadecimal):
    def open(self, path):
        tensors = torch.load(path, weights_only=False)
        return evolve(super().open(path), names=tuple(tensors), get=tensors.__getitem__)


@offer("tensor_format", "silent")
class Silent(Hexadecimal):
    def save(self, source, path, on_progress):
        return super().save(source, path, lambda _: None)
