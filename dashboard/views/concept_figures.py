"""Plots of concepts. Each returns the figure and a text alternative that says the same in words.

Names come from people and models, and Plotly reads a little HTML in texts: they are escaped.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Literal

import plotly.graph_objects as go

from dashboard.viewmodels.concepts import FiringView, PositionsView
from dashboard.viewmodels.hierarchy import TreeNodeView
from dashboard.views.figures import INK, frame, ink
from dashboard.views.text import firm, plural, share

BAR = "#0072b2"  # Okabe-Ito blue
AGAINST = "#8a97a3"
SCALE = ((0.0, "#e8f1f8"), (0.5, "#56a0d3"), (1.0, "#08306b"))  # light to dark, colour-blind safe
ALL = "all"  # id of the box around everything
GROUND, PAPER = "#d3d9df", "#ffffff"
MAX_NODES = 600  # drawn in a figure; more are too thin to see and slow to draw
MAX_DEPTH = 4
LISTED = 12  # classes or groups in one figure
Shape = Literal["Icicle", "Sunburst"]


def firing(rows: Sequence[FiringView], what: str) -> tuple[go.Figure, str]:
    """Bars: the share of the images of each class (or group) in which the concept fires."""
    shown = rows[:LISTED]
    figure = go.Figure(
        go.Bar(
            x=[100 * row.share for row in shown],
            y=[_text(row.name) for row in shown],
            orientation="h",
            marker={"color": BAR},
            text=[f"{share(row.share, 0)} of {row.total:,}" for row in shown],
            textposition="outside",
            cliponaxis=False,
            customdata=[[row.images, row.total, row.strength] for row in shown],
            hovertemplate=(
                "%{y}: fires in %{customdata[0]} of %{customdata[1]} images<br>"
                "mean activation there %{customdata[2]:.2f} encoder units<extra></extra>"
            ),
        )
    )
    frame(figure, height=44 + 28 * max(len(shown), 1))
    figure.update_xaxes(range=[0, 220], tickvals=(0, 50, 100), ticktext=("0 %", "50 %", "100 %"))
    figure.update_yaxes(autorange="reversed", type="category")
    words = "; ".join(f"{r.name} {share(r.share, 0)}, {r.images} of {r.total}" for r in shown)
    more = f"; and {len(rows) - LISTED} more" if len(rows) > LISTED else ""
    return figure, f"Share of the images of each {what} in which it fires: {words}{more}."


def weights(pairs: Sequence[tuple[str, float]]) -> tuple[go.Figure, str]:
    """The head's weight of one concept for each class, logit per unit of activation."""
    values = [value for _, value in pairs]
    figure = go.Figure(
        go.Bar(
            x=values,
            y=[_text(name) for name, _ in pairs],
            orientation="h",
            marker={
                "color": [BAR if value >= 0 else AGAINST for value in values],
                "pattern": {"shape": ["" if value >= 0 else "/" for value in values]},
            },
            text=[_signed(value) for value in values],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{text} logit per unit of activation<extra></extra>",
        )
    )
    frame(figure, height=64 + 30 * len(pairs))
    # Room beside the longest bar for its figure.
    reach = 2.0 * max((abs(value) for value in values), default=1.0) or 1.0
    low = -reach if min(values, default=0.0) < 0 else 0.0
    high = reach if max(values, default=0.0) > 0 else 0.0
    figure.update_xaxes(
        zeroline=True, zerolinewidth=1, range=[low, high], nticks=5,
        title={"text": "logit per unit of activation", "font": {"color": ink()}},
    )  # fmt: skip
    figure.update_yaxes(autorange="reversed", type="category")
    words = ", ".join(f"{name} {_signed(value)}" for name, value in pairs)
    return figure, f"Weight of this concept for each class, logit per unit of activation: {words}."


def _signed(value: float) -> str:
    """Three significant digits with a sign that can be seen.

    >>> _signed(-0.00712), _signed(1.9)
    ('\u22120.00712', '+1.9')
    """
    return f"{value:+.3g}".replace("-", "\u2212", 1)


def positions(view: PositionsView) -> tuple[go.Figure, str]:
    """A heat map of the picture: in which share of the images it fires at each place."""
    rows, columns = view.grid
    values = [
        [100 * value for value in view.shares[row * columns : (row + 1) * columns]]
        for row in range(rows)
    ]
    figure = go.Figure(
        go.Heatmap(
            z=values,
            zmin=0,
            zmax=max(1.0, *(max(line) for line in values)),
            colorscale=SCALE,
            colorbar={
                "title": {"text": "% of images", "font": {"color": ink()}},
                "tickfont": {"color": ink()},
                "thickness": 12,
                "len": 0.9,
            },
            hovertemplate="row %{y}, column %{x}: %{z:.0f} % of the images<extra></extra>",
        )
    )
    frame(figure, height=270)
    figure.update_xaxes(visible=False, constrain="domain")
    figure.update_yaxes(visible=False, autorange="reversed", scaleanchor="x", constrain="domain")
    return figure, _where(view)


def _where(view: PositionsView) -> str:
    """The heat map in words: the share in each ninth of the picture."""
    rows, columns = view.grid
    ninths: dict[str, list[float]] = {}
    for at, value in enumerate(view.shares):
        row, column = divmod(at, columns)
        upright = ("upper", "middle", "lower")[3 * row // rows]
        across = ("left", "centre", "right")[3 * column // columns]
        ninths.setdefault(f"{upright} {across}", []).append(value)
    means = {place: sum(values) / len(values) for place, values in ninths.items()}
    best = sorted(means.items(), key=lambda pair: -pair[1])[:3]
    said = ", ".join(f"{place} {firm(share(mean, 0))}" for place, mean in best)
    return (
        f"Where in the picture it fires, over {plural(view.images, 'image')} in which it does. "
        f"Most often: {said} (share of the images, mean over the patches there)."
    )


@dataclass(frozen=True)
class _Box:
    node: TreeNodeView
    parent: str  # id; ALL at the top
    depth: int


def hierarchy(roots: Sequence[TreeNodeView], shape: Shape) -> tuple[go.Figure, str]:
    """The hierarchy as nested boxes or rings; each as large as the concepts under it are many."""
    boxes = list(_boxes(roots))[:MAX_NODES]
    parents = {box.parent for box in boxes}
    colours = [GROUND, *(colour(box.node.frequency) for box in boxes)]
    inks = [INK if light(each) else PAPER for each in colours]
    trace = {"Icicle": go.Icicle, "Sunburst": go.Sunburst}[shape]
    figure = go.Figure(
        trace(
            ids=[ALL, *(box.node.concept_id for box in boxes)],
            labels=["all concepts", *(_text(box.node.name) for box in boxes)],
            parents=["", *(box.parent for box in boxes)],
            # A leaf counts one; what has children is as large as these are together.
            values=[0, *(int(box.node.concept_id not in parents) for box in boxes)],
            customdata=[["", ""], *([share(b.node.frequency, 0), _said(b.node)] for b in boxes)],
            branchvalues="remainder",
            leaf={"opacity": 1},
            maxdepth=MAX_DEPTH,
            sort=False,
            textfont={"color": inks},
            insidetextfont={"color": inks},
            marker={
                "colors": colours,
                "line": {"color": PAPER, "width": 1},
                # Part-of is hatched, is-a is plain: never colour alone.
                "pattern": {
                    "shape": ["", *("/" if b.node.kind == "part-of" else "" for b in boxes)],
                    "fillmode": "replace",
                    "fgcolor": colours,
                    "bgcolor": [
                        mixed(each, INK if light(each) else PAPER, 0.35) for each in colours
                    ],
                    "solidity": 0.75,
                },
            },
            hovertemplate="%{label}: %{customdata[1]}, in %{customdata[0]} of the images"
            "<extra></extra>",
        )
    )
    frame(figure, height=600)
    figure.update_layout(uniformtext={"minsize": 10, "mode": "hide"})
    tops = ", ".join(f"{node.name} with {_under(node)} below" for node in roots[:LISTED])
    return figure, (
        f"{shape} of {plural(len(boxes), 'concept')}; the tree says the same in text. "
        f"At the top: {tops or 'nothing'}."
    )


def colour(value: float) -> str:
    """The colour of a share, from light to dark along `SCALE`.

    >>> colour(0.0), colour(1.0)
    ('#e8f1f8', '#08306b')
    """
    for (low, start), (high, stop) in pairwise(SCALE):
        if value <= high:
            return mixed(start, stop, (value - low) / (high - low))
    return SCALE[-1][1]


def mixed(start: str, stop: str, part: float = 0.2) -> str:
    """One colour with a part of another."""
    pairs = zip(_rgb(start), _rgb(stop), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * part):02x}" for a, b in pairs)


def light(colour: str) -> bool:
    """Whether dark text is read better on it (relative luminance, WCAG 2)."""
    red, green, blue = (float((value / 255) ** 2.2) for value in _rgb(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _boxes(roots: Sequence[TreeNodeView]) -> Iterator[_Box]:
    """Level by level, so that what is cut off is deepest."""
    level = [_Box(node, ALL, 0) for node in roots if node.children]
    while level:
        yield from level
        level = [
            _Box(child, box.node.concept_id, box.depth + 1)
            for box in level
            for child in box.node.children
        ]


def _under(node: TreeNodeView) -> int:
    return sum(1 for _ in _boxes((node,))) - 1


def _said(node: TreeNodeView) -> str:
    kinds = {"is-a": "is a kind of the one above", "part-of": "is part of the one above"}
    return kinds.get(node.kind or "", "at the top")


def _text(name: str) -> str:
    """A name with what Plotly would read as HTML escaped, cut to a readable length."""
    return escape(name if len(name) <= 40 else f"{name[:39]}…", quote=False)
