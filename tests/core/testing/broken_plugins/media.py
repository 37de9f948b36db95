"""Modalities."""

from aios_core.scaffold.examples.modality import Beats, Heartbeat
from broken_plugins.offers import offer


class Plain(Beats):
    """Nothing is brought to unit variance."""

    def encode(self, item):
        return super().encode(item) * 1000


@offer("modality", "loud")
class Loud(Heartbeat):
    """Numbers of another size than a network sees."""

    codec = Plain

    def fit(self, items):
        made = super().fit(items)
        return Plain(made.mean, made.deviation)


class Forgetting(Beats):
    """Reads something else than what was kept."""

    @classmethod
    def load(cls, folder):
        return cls(0.0, 1.0)


@offer("modality", "forgetting")
class Forgets(Heartbeat):
    """What is read back encodes otherwise."""

    codec = Forgetting

    def fit(self, items):
        made = super().fit(items)
        return Forgetting(made.mean, made.deviation)


class Trusting(Beats):
    """Takes anything."""

    def encode(self, item):
        return (item.reshape(32, 8) - self.mean) / self.deviation


@offer("modality", "trusting")
class Trusts(Heartbeat):
    """What is no item raises whatever it raises."""

    codec = Trusting

    def fit(self, items):
        made = super().fit(items)
        return Trusting(made.mean, made.deviation)
