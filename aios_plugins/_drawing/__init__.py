"""Pages and pictures, shared by the plugins that draw, as `_native` is by those that compute.

Matplotlib figures become SVG that takes its colours and fonts from the page around it. So one
picture serves light and dark mode, its text stays text, and it weighs a few kilobytes. The style
sheet is among the templates.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

if TYPE_CHECKING:
    from jinja2 import Environment
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK: Final = "#010203"
"""Stands for the colour of text."""
FAINT: Final = "#010204"
"""Stands for that of grids and references."""
SERIES: Final = tuple(f"#0102{n:02x}" for n in range(16, 24))
"""Stand for the colours of series, which the style sheet takes from Okabe and Ito's palette: they
differ for the colour-blind, too."""
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*")
"""One for each colour, for those who print in grey."""

_VARIABLES: Final = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    **{colour: f"var(--series-{n})" for n, colour in enumerate(SERIES)},
}
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a dollar in somebody's setting is a dollar
    "font.size": 11,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.alpha": 0.35,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.minor.bottom": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 5.5,
}


def environment(package: str) -> Environment:
    """Templates of a package; every text in them is escaped, and what is missing is an error.

    Args:
        package: has a folder ``templates``; those of this one come behind.
    """
    import jinja2

    return jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(name) for name in (package, "aios_plugins._drawing")]
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


@contextmanager
def style(name: str) -> Iterator[None]:
    """Draw in our style; ids inside the picture are made from its name, for a page holds many."""
    import matplotlib as mpl

    with (
        mpl.rc_context({**_STYLE, "svg.hashsalt": name, "svg.id": None}),
        warnings.catch_warnings(),
    ):
        # Letters that this font lacks are drawn by the browser with its own.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield


def picture(figure: Figure, description: str) -> Markup:
    """The figure as an ``<svg>`` element; call it within `style`.

    Args:
        figure: drawn with the colours of this module.
        description: what it shows, for those who cannot see it.
    """
    file = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    text = file.getvalue()
    text = text[text.index("<svg") :]
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # the same in every picture, and never referred to
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    assert box is not None
    head = Markup('<svg class="figure" role="img" aria-label="{}" viewBox="0 0 {} {}"').format(
        description, *box.groups()
    )
    return head + Markup(text[text.index(">") :])  # noqa: S704 - matplotlib escaped its texts


def end_labels(axes: Axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Name lines at their right ends, moved apart where they would overlap.

    Args:
        axes: with final limits.
        ends: x, y, text and colour of each line's end.
    """
    low, high = axes.get_ylim()
    height = axes.get_window_extent().height / axes.figure.dpi * 72  # in points
    ordered = sorted(ends, key=lambda end: end[1])
    halves = [6.5 * (text.count("\n") + 1) / height for *_, text, _ in ordered]
    places: list[float] = []
    for (_, y, _, _), half in zip(ordered, halves, strict=True):
        floor = places[-1] + halves[len(places) - 1] + half if places else half
        places.append(max((y - low) / (high - low), floor))
    for i in reversed(range(len(places))):  # those pushed out at the top push back
        ceiling = (
            1 - halves[i] if i == len(places) - 1 else places[i + 1] - halves[i + 1] - halves[i]
        )
        places[i] = min(places[i], ceiling)
    for (x, y, text, colour), place in zip(ordered, places, strict=True):
        axes.annotate(
            text,
            (x, y),
            xytext=(1.03, place),
            textcoords="axes fraction",
            color=colour,
            va="center",
            fontsize=9.5,
            linespacing=1.05,
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.6, "alpha": 0.6},
            annotation_clip=False,
        )
