"""Broken readers, makers and judges of texts."""

from aios_core.contracts import Automaton, Dataset, PatternExample
from aios_core.contracts.reader import FileRow
from aios_core.scaffold.examples.checker import Palindrome
from aios_core.scaffold.examples.constraint import Brackets
from aios_core.scaffold.examples.embedding import Letters
from aios_core.scaffold.examples.reader import Entries
from aios_core.scaffold.examples.tokenizer import Utf8, _Trained
from broken_plugins.offers import CALLS, offer


class Cut(_Trained):
    def encode(self, text):
        return super().encode(text)[:512]


class Forged(_Trained):
    def encode(self, text):
        ids = super().encode(text)
        return ids[:1] * 0 + 256 if text == "<mask>" else ids


class Forgotten(_Trained):
    fingerprint = "another"


@offer("tokenizer", "cutting")
class Cutting(Utf8):
    def train(self, texts):
        return Cut()


@offer("tokenizer", "forging")
class Forging(Utf8):
    def train(self, texts):
        return Forged()


@offer("tokenizer", "forgetful")
class Forgetful(Utf8):
    def load(self, folder):
        return Forgotten()


@offer("embedding", "short")
class Short(Letters):
    def encode(self, texts):
        return [row[1:] for row in super().encode(texts)]


@offer("embedding", "relative")
class Relative(Letters):
    def encode(self, texts):
        return [[*row[:-1], len(texts)] for row in super().encode(texts)]


@offer("embedding", "alike")
class Alike(Letters):
    def encode(self, texts):
        return [[1.0] * self.dim for _ in texts]


@offer("dataset", "text")
class Text(Dataset):
    def documents(self):
        return "all in one"


@offer("dataset", "numbers")
class Numbers(Dataset):
    def documents(self):
        return range(100)


@offer("dataset", "shuffled")
class Shuffled(Dataset):
    def documents(self):
        CALLS[0] += 1
        return [str(n + CALLS[0]) for n in range(100)]


@offer("reader", "forgetful")
class FirstEntry(Entries):
    def rows(self, path, on_progress=None):
        yield from [*super().rows(path)][:1]


@offer("reader", "raw")
class RawEntries(Entries):
    def rows(self, path, on_progress=None):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line.strip():
                yield FileRow(number, {"text": line}, None)


@offer("reader", "nameless")
class Nameless(Entries):
    def texts(self, path, settings, on_progress=None):
        return (("somewhere", text) for _, text in super().texts(path, settings))


@offer("constraint", "latin")
class Latin(Brackets):
    def automaton(self, pattern):
        return Automaton.explored(0, lambda _: [(0, 255, 0)], lambda _: True)


@offer("constraint", "moody")
class Moody(Brackets):
    def automaton(self, pattern):
        CALLS.append("compiled")
        return super().automaton(f"{pattern}{len(CALLS) % 2}")


@offer("constraint", "careless")
class OnlyNumbers(Brackets):
    def automaton(self, pattern):
        return super().automaton(str(int(pattern)))


@offer("constraint", "boastful")
class Boastful(Brackets):
    examples = (PatternExample("1", right=("((x))",), wrong=("(",)),)


@offer("constraint", "secretive")
class Secretive(Brackets):
    examples = ()


@offer("checker", "strict")
class Strict(Palindrome):
    def check(self, completion):
        return str(int(completion.answer)) == completion.answer


@offer("checker", "graded")
class Graded(Palindrome):
    def check(self, completion):
        return float(super().check(completion))


@offer("checker", "jealous")
class Jealous(Palindrome):
    def check(self, completion):
        CALLS.append("checked")
        return len(CALLS) % 4 < 2
