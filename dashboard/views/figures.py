"""Plots. Each returns the figure and a text alternative that says the same in words.

Before and after differ in fill pattern and place, never in colour alone.
"""

from collections.abc import Sequence

import plotly.graph_objects as go
import streamlit as st

from dashboard.viewmodels import MetricRow
from dashboard.views.text import share

TICKS = (0, 25, 50, 75, 100)
BEFORE, AFTER = "#8a97a3", "#0072b2"
INK, DARK_PAGE_INK = "#0e1720", "#e8edf2"
ON_DARK = {"#0072b2": "#56b4e9", "#d55e00": "#ff9a4d", "#009e73": "#3fc79c", "#007a5a": "#3fc79c",
           "#a36b00": "#e0a53a", "#6d7a86": "#9aa7b3"}  # fmt: skip


def before_after(rows: Sequence[MetricRow], split: str) -> tuple[go.Figure, str]:
    """Grouped bars of one split's figures, in per cent."""
    shown = [r for r in rows if r.split == split and None not in (r.before, r.after)]
    labels = [row.label for row in shown]
    figure = go.Figure()
    for name, colour, pattern, values in (
        ("before", BEFORE, "/", [row.before for row in shown]),
        ("after", AFTER, "", [row.after for row in shown]),
    ):
        figure.add_bar(
            name=name,
            y=labels,
            x=[100 * (value or 0.0) for value in values],
            orientation="h",
            marker={"color": colour, "pattern": {"shape": pattern}},
            text=[share(value) for value in values],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}, " + name + ": %{x:.1f} %<extra></extra>",
        )
    frame(figure, height=60 + 46 * len(shown))
    figure.update_layout(
        barmode="group", legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    )
    figure.update_xaxes(range=[0, 114], tickvals=TICKS, ticktext=[f"{tick} %" for tick in TICKS])
    figure.update_yaxes(autorange="reversed")
    words = "; ".join(f"{r.label} from {share(r.before)} to {share(r.after)}" for r in shown)
    return figure, f"Before and after on the {split} images: {words or 'no figures'}."


def ink() -> str:
    """The page's colour of text: Streamlit's own grey for plots is too faint to read."""
    return DARK_PAGE_INK if st.context.theme.type == "dark" else INK


def frame(figure: go.Figure, *, height: int) -> None:
    """What every plot of bars or boxes has in common: room, and text that can be read."""
    figure.update_xaxes(tickfont={"color": ink()})
    figure.update_yaxes(tickfont={"color": ink()})
    figure.update_traces(textfont={"color": ink()}, selector={"type": "bar"})
    figure.update_layout(
        height=height,
        margin={"l": 0, "r": 8, "t": 4, "b": 0},
        bargap=0.3,
        font={"size": 12},
        dragmode=False,
    )


def tone(colour: str) -> str:
    """A lighter tone of a colour on a dark page, where the usual one would be hard to see."""
    return ON_DARK.get(colour, colour) if st.context.theme.type == "dark" else colour


def mark(colour: str, symbol: str) -> dict[str, object]:
    """A point in its own colour to its edge."""
    return {"color": colour, "symbol": symbol, "size": 11, "line": {"width": 2, "color": colour}}
