"""Mixtures of tasks: every row is turned as its task says, and drawn as often as weights say."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aios_core.config import resolve
from aios_core.contracts import Row, Segment, Task
from aios_core.errors import ConfigError, DataError
from aios_core.training import layout, tasks, token_rows
from aios_core.training.data import Prepared
from aios_core.training.layout import Framing
from aios_core.training.learner import Learner
from aios_core.training.tasks import Mixture
from aios_core.training.tokens import Tokens
from aios_plugins.tokenizers.bytes import TrainedBytes

TOKENIZER = TrainedBytes()
NAMES = ("prompt", "answer", "reason", "note")
LENGTH = 32

segments = st.builds(
    Segment,
    st.sampled_from(NAMES),
    st.text("abcdef", max_size=4),
    st.sampled_from(["target", "target", "given", "absent"]),
)
some_rows = st.lists(
    st.lists(segments, min_size=1, max_size=5)
    .map(lambda made: Row(tuple(made)))
    .filter(lambda row: any(segment.role == "target" for segment in row.segments)),
    min_size=1,
    max_size=6,
)


@st.composite
def some_tasks(draw):
    names = draw(st.permutations(NAMES))
    first, second = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    weight = draw(st.sampled_from([1e-6, 0.5, 1.0, 3.0, 1e6]))
    return Task(tuple(names[:first]), tuple(names[first : first + second]), weight)


def to_tokens(rows):
    with TemporaryDirectory() as folder:
        token_rows.write(Path(folder), rows, TOKENIZER)
        return token_rows.read(Path(folder), TOKENIZER.vocabulary, mapped=False)


def contents(rows, chunks, framing):
    """Of each chunk: ids and what is learned, without what only fills it up."""
    made, all_in = layout.sequences(rows, chunks, framing), []
    for sequence, offset, size in zip(
        chunks.sequence, chunks.offset, chunks.stop - chunks.start, strict=True
    ):
        place = slice(offset, offset + size)
        all_in.append((made.ids[sequence, place].tolist(), made.targets[sequence, place].tolist()))
    return all_in


def expected(rows):
    """The same of rows by themselves."""
    alone, framing = to_tokens(rows), Framing(LENGTH, packed=False, fill=False)
    return contents(alone, layout.in_order(alone, framing), framing)


BOTH = Row((Segment("note", "ab", "given"), Segment("note", "c"), Segment("answer", "d")))
"""A name that is given in one place and a target in another."""


@settings(max_examples=60)
@example([BOTH], [Task(absent=("note",))], 0)
@example([BOTH], [Task(given=("note",))], 0)
@given(rows=some_rows, mix=st.lists(some_tasks(), max_size=4), seed=st.integers(0, 9))
def test_every_row_is_as_its_task_turns_it(rows, mix, seed):
    """And packed, cut and filled as ever: nothing is lost, and what was given stays given."""
    tokens = to_tokens(rows)
    framing = Framing(LENGTH, tasks=tuple(mix))
    chunks = layout.drawn(tokens, framing, seed, 0)
    turned = [
        rows[row] if task < 0 else mix[task].applied(rows[row])
        for row, task in zip(chunks.row[:64], chunks.task[:64], strict=True)
    ]

    assert None not in turned, "a task that the row does not serve"
    assert contents(tokens, chunks[slice(64)], framing) == expected(turned)
    again = Tokens(tokens, 0, "", framing)
    batch, other = again.batch(3, seed, 8), [again.batch(12 + part, seed, 2) for part in range(4)]
    for part in range(4):
        for name in ("ids", "targets", "valid", "sizes"):
            mine = getattr(batch[slice(2 * part, 2 * part + 2)], name)
            assert mine.equal(getattr(other[part], name)), "whatever the size of a batch"


@settings(max_examples=60)
@example([BOTH], [Task(absent=("note",)), Task(given=("note",))])
@given(rows=some_rows, mix=st.lists(some_tasks(), min_size=1, max_size=4))
def test_a_row_serves_what_the_contract_says(rows, mix):
    tokens = to_tokens(rows)
    mixture = Mixture.of(tokens, mix)
    turned = [[task.applied(row) for task in mix] for row in rows]

    assert [[row is not None for row in own] for own in turned] == mixture.serves.tolist()
    for number, task in enumerate(mix):
        served = [own[number] for own in turned if own[number] is not None]
        named = task.given or task.absent
        if served and named:
            asked, alone = tasks.asked(tokens, task), to_tokens(served)
            assert asked.ids.tolist() == alone.ids.tolist()
            assert asked.ends.tolist() == alone.ends.tolist()
            assert asked.targets().tolist() == alone.targets().tolist()
            whole, parts = (
                Tokens(asked, 0, "", Framing(LENGTH)),
                zip(asked.ends, served, strict=True),
            )
            for place, (_, row) in enumerate(parts):
                there = [s for s in row.segments if s.role != "absent"]
                assert there == list(whole.row(place, TOKENIZER).segments)


PAIR = Row((Segment("prompt", "ab"), Segment("answer", "cde")))


def test_tasks_are_drawn_as_often_as_weights_say():
    """Among those that the row serves; one that serves none is as it is."""
    rows = to_tokens([PAIR, Row((Segment("prompt", "xyz", "given"), Segment("answer", "q")))])
    mix = (Task(("prompt",), weight=3.0), Task(("answer",), weight=1.0), Task(weight=4.0))
    chunks = layout.drawn(rows, Framing(LENGTH, tasks=mix), 0, 0)
    mine = chunks.task[chunks.row == 0]
    shares = [(mine == number).mean() for number in (0, 1, -1)]
    error = 4 * np.sqrt(0.25 / len(mine))

    assert np.abs(np.subtract(shares, [3 / 8, 1 / 8, 4 / 8])).max() < error
    assert error < 0.05
    assert {-1} == set(chunks.task[chunks.row == 1])


def test_the_last_task_is_drawn_of_the_largest_number():
    mixture = Mixture.of(to_tokens([PAIR] * 2), (Task(("prompt",)), Task(("reason",))))
    largest = np.full(2, 1 - 2.0**-53)
    assert [0, 0] == mixture.drawn(np.arange(2), largest).tolist()


def test_rows_come_in_the_same_order_whatever_is_asked():
    """So that runs with and without a mixture are paired."""
    rows = to_tokens([Row((Segment("prompt", "a"), Segment("answer", c * 3))) for c in "abcdef"])
    plain, mixed = (
        layout.drawn(rows, Framing(LENGTH, packed=False, fill=False, tasks=mix), 3, 1)
        for mix in ((), (Task(("answer",)),))
    )
    assert plain.row.tolist() == mixed.row.tolist()
    assert {-1} == set(plain.task)
    assert {0} == set(mixed.task)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"a": {"weight": 0.0}}, r"tasks\.a\.weight: .*> 0"),
        ({"a": {"given": ["x"], "absent": ["x"]}}, r"tasks\.a\..*'x' is given as well as absent"),
        ({"a": {"given": ["x", "x"]}}, r"tasks\.a\.given: expected names of segments, each once"),
        ({"a": {"given": [""]}}, r"tasks\.a\.given: expected names of segments, each once"),
        ({"a": {"gven": ["x"]}}, r"tasks\.a\.gven: unknown key; did you mean 'given'\?"),
    ],
)
def test_tasks_that_contradict_themselves_are_refused(tables, message):
    with pytest.raises(ConfigError, match=message):
        resolve({"tasks": tables})


def test_a_stream_and_an_unknown_name_are_refused():
    mix = {"tasks": {"a": {"given": ["x"]}}}
    with pytest.raises(ConfigError, match=r"tasks: a stream has no rows .*; expected diffusion\."):
        resolve({**mix, "diffusion": {"packing": "stream"}})
    with pytest.raises(
        ConfigError, match=r"evaluation: task: 'b' is none of \[tasks\]; expected a"
    ):
        resolve({**mix, "evaluation": {"task": "b"}})


def test_a_task_that_no_row_serves_is_named():
    rows = to_tokens([PAIR])
    for task in (Task(("prompt", "anser")), Task(("prompt",), ("answer",))):
        own = ", ".join((*task.given, *task.absent))
        expected = (
            rf"^tasks\.fill: no row of the training split has targets named {own}, and another "
            r"target that is left to learn; expected names of segments, which are prompt, answer$"
        )
        with pytest.raises(DataError, match=expected):
            tasks.check(rows, {"fill": task}, "training")
    tasks.check(rows, {"fill": Task(("answer",)), "all": Task()}, "training")
    plain = to_tokens([Row.of("a text")])
    tasks.check(plain, {"all": Task()}, "training")
    with pytest.raises(DataError, match=r"segments, which are of one text, which is learned"):
        tasks.check(plain, {"fill": Task(("prompt",))}, "training")


def test_measured_by_request_are_the_rows_that_serve_a_task():
    rows = to_tokens([PAIR, Row.of("more"), attrs.evolve(PAIR, segments=PAIR.segments[::-1])])
    whole = Tokens(rows, 9, "", Framing(LENGTH))
    part = whole.asked("fill", Task(("prompt",)), TOKENIZER)

    assert 2 == len(part.rows)
    assert 6 == part.num_bytes
    assert [*b"cde", 259] * 2 == part.ids.tolist()
    assert whole is whole.asked("all", Task(), TOKENIZER)
    with pytest.raises(DataError, match=r"no row of the validation split has targets named note"):
        whole.asked("fill", Task(("note",)), TOKENIZER)


@pytest.fixture
def learner(tiny):
    """A function that makes a learner of pairs under settings, and its data."""

    def learner(*overrides):
        resolved = tiny("diffusion.length=16", *overrides)
        rows = to_tokens(
            [Row((Segment("prompt", "ab"), Segment("answer", c * 3))) for c in "abcdef"]
        )
        split = Tokens(rows, 30, "", Framing.of(resolved.config))
        prepared = Prepared(TOKENIZER, split, split, None)
        return Learner(resolved.config, prepared)

    return learner


def test_training_draws_them_and_depends_on_no_micro_batch(learner):
    mix = "tasks={fill={given=['prompt'], weight=2}, ask={absent=['prompt']}, all={}}"
    whole = "training.batch_size=16"
    parts = ("training.batch_size=4", "training.accumulate=4")
    mixed, other, plain = learner(mix, whole), learner(mix, *parts), learner(whole)
    losses = [each.step(0).loss.item() for each in (mixed, other, plain)]

    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert losses[0] != pytest.approx(losses[2], abs=1e-3)
    assert mixed.held_out_loss() > 0
    assert learner(whole).held_out_loss() == learner(mix, whole).held_out_loss(), "as they are"
