"""Rows: what a data set is made of, and what is asked of a network."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

from attrs import Attribute, evolve, field, frozen, validators

Role = Literal["given", "target", "absent"]
ROLES: Final[tuple[Role, ...]] = ("given", "target", "absent")

TEXT: Final = "text"
"""Name of the segment, and of the modality, of a row that is one text."""


@frozen
class Control:
    """Text of a template: names of the tokenizer's special tokens in it are these tokens.

    As in ``Control("<|im_end|>")``. It is for what a configuration or a model's own files say, and
    never for what somebody wrote: that is a str, in which such names are text.
    """

    text: str = field(validator=validators.instance_of(str))


TextContent: TypeAlias = str | tuple[str | Control, ...]
"""Of a segment that is text: somebody's words, or several parts, each encoded apart."""


def content_of(*parts: str | Control) -> TextContent:
    """Parts as a content, without empty ones; a str where that is all there is.

    Examples:
        >>> content_of("", "words"), content_of(Control("<a>"), Control("<b>"), "words")
        ('words', (Control(text='<a><b>'), 'words'))
    """
    kept: list[str | Control] = []
    for part in parts:
        if isinstance(part, Control) and kept and isinstance(before := kept[-1], Control):
            kept[-1] = Control(before.text + part.text)
        elif part not in ("", Control("")):
            kept.append(part)
    if not kept:
        return ""
    only = kept[0]
    return only if len(kept) == 1 and isinstance(only, str) else tuple(kept)


def is_content(value: object) -> bool:
    """Whether a value is the content of a segment that is text."""
    if isinstance(value, tuple):
        return all(isinstance(part, str | Control) for part in value)
    return isinstance(value, str)


@frozen
class Segment:
    """A part of a row.

    Several segments of a row may share a name: then they are parts of one thing.
    """

    name: str = field(validator=validators.and_(validators.instance_of(str), validators.min_len(1)))
    """As in ``"prompt"``; mixtures of tasks choose by it."""
    content: Any
    """What its modality keeps: where that is text, a str, or a tuple of str and `Control`."""
    role: Role = field(default="target", validator=validators.in_(ROLES))
    """``"given"`` is seen, never noised, and has no loss; ``"target"`` is learned and sampled;
    ``"absent"`` is not part of the sequence."""
    modality: str = field(default=TEXT, validator=validators.min_len(1))
    """What kind of data it is."""

    @property
    def text(self) -> str:
        """All of a content that is text."""
        parts = (self.content,) if isinstance(self.content, str) else self.content
        return "".join(part.text if isinstance(part, Control) else part for part in parts)


@frozen
class Source:
    """Rows of a data set that are drawn for training as often as one number says, together.

    Passes over a data set draw each row once; where rows have sources, a pass draws as many, but
    each source has its share of them, however many rows it has, and all its rows have the same part
    in that.
    """

    name: str = field(validator=validators.instance_of(str))
    """For messages; two sources differ in it."""
    share: float = field(validator=[validators.gt(0), validators.le(1)])
    """Of the rows that are drawn; those of all sources are 1 together."""


@frozen
class Row:
    """One example: segments in the order in which a network reads them.

    A row begins with a begin token, which is always given, and ends with an end token, which is
    learned; both are added where rows become token ids.

    Examples:
        >>> row = Row((Segment("prompt", "2 + 2 = ", role="given"), Segment("answer", "4")))
        >>> row.joined("given"), row.joined("target"), row.joined("given", "target")
        ('2 + 2 = ', '4', '2 + 2 = 4')
        >>> row.text is None, Row.of("a text").text
        (True, 'a text')
    """

    segments: tuple[Segment, ...] = field(validator=validators.min_len(1))
    where: str = field(default="", eq=False, kw_only=True, validator=validators.instance_of(str))
    """Where it is from, as in ``"train.csv:12"``, for messages; nothing where that is not known."""
    chat: bool = field(default=False, kw_only=True, validator=validators.instance_of(bool))
    """Its segments are turns of a chat, named by who speaks, each with a str as its content; what
    stands between them is written by the tokenizer's own template (`TrainedTokenizer.chat`)."""
    source: Source | None = field(default=None, kw_only=True)
    """With which rows it is drawn, of a mixture; None, then of all rows: each is drawn alike."""

    @classmethod
    def of(cls, text: str, *, where: str = "") -> Row:
        """A row that is one text, all of it a target."""
        return cls((Segment(TEXT, text),), where=where)

    @property
    def text(self) -> str | None:
        """The text of a row that is nothing but one target text; None of any other."""
        first = self.segments[0]
        plain = len(self.segments) == 1 and first.modality == TEXT and first.role == "target"
        own = plain and first.name == TEXT and isinstance(first.content, str)
        return first.content if own else None

    def joined(self, *roles: Role) -> str:
        """The texts of all segments of these roles, one behind the other, without a separator."""
        texts = (s for s in self.segments if s.role in roles and s.modality == TEXT)
        return "".join(segment.text for segment in texts)


def _apart(task: Task, _attribute: Attribute[Any], names: tuple[str, ...]) -> None:
    if "" in names or len(set(names)) < len(names):
        raise ValueError(f"expected names of segments, each once, got {list(names)}")
    if twice := sorted({*task.given} & {*task.absent}):
        raise ValueError(f"{twice[0]!r} is given as well as absent; expected one of the two")


@frozen
class Task:
    """What is asked of a row: some of its targets are turned into parts that are given, or absent.

    It is for rows whose targets have all its names, and others that are left to learn. What a row
    gives stays given.
    """

    given: tuple[str, ...] = field(default=(), validator=_apart)
    """Names of the segments that are seen as they are."""
    absent: tuple[str, ...] = field(default=(), validator=_apart)
    """Names of the segments that are left out."""
    weight: float = field(default=1.0, validator=[validators.gt(0), validators.le(1e6)])
    """How often it is drawn, beside the other tasks that a row serves."""

    def applied(self, row: Row) -> Row | None:
        """A row as the task turns it; None: the row does not serve it."""
        targets = {segment.name for segment in row.segments if segment.role == "target"}
        named = {*self.given, *self.absent}
        if not named <= targets or targets <= named:
            return None
        segments = tuple(
            evolve(segment, role="given" if segment.name in self.given else "absent")
            if segment.role == "target" and segment.name in named
            else segment
            for segment in row.segments
        )
        return evolve(row, segments=segments)


@frozen
class Completion:
    """A sample beside the row whose given parts it was made from."""

    row: Row
    """From the held-out split; its targets are a reference that the network did not see."""
    text: str
    """All of the sample up to its end token, the given parts included."""
    answer: str
    """What was sampled in the places of the targets, up to the end token."""
