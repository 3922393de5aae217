"""Plots of a judgement: differences with intervals, and parts before and after.

Each returns the figure and a text alternative that says the same in words. What is better, worse or
undecided differs in shape as well as in colour (Okabe-Ito).
"""

from collections.abc import Sequence
from html import escape
from textwrap import wrap

import plotly.graph_objects as go

from dashboard.viewmodels.judgement import Estimate, FigureView, PartView
from dashboard.views.figures import frame, ink, mark, tone
from dashboard.views.text import firm, images_of, points, share

BETTER, WORSE, UNCLEAR = "#0072b2", "#d55e00", "#8a97a3"
LOOKS = {
    "better": (BETTER, "diamond"),
    "worse": (WORSE, "x"),
    "no clear change": (UNCLEAR, "circle-open"),
    "": (UNCLEAR, "square-open"),
}
BEFORE, AFTER = "#8a97a3", "#0072b2"
GRID = "rgba(128, 140, 152, .28)"
ZERO = "#8a97a3"
MOST = 16  # parts in one plot
TICKS = (0, 50, 100)
LINE = 24  # letters of a name beside a plot
LEGEND, AXIS, ROW, LETTER = 30, 54, 18, 13  # pixels; ROW beside LETTER for each line of a name


def differences(figures: Sequence[FigureView], split: str) -> tuple[go.Figure, str]:
    """Each figure's change with its 95 % interval; to the right is better, whatever the figure."""
    shown = [each for each in figures if each.unit == "share" and each.difference.value is not None]
    figure = go.Figure()
    for said, name in (
        ("better", "better"),
        ("worse", "worse"),
        ("no clear change", "no clear change"),
        ("", "cannot be said"),
    ):
        rows = [each for each in shown if each.said == said]
        if not rows:
            continue
        gains = [_gain(each) for each in rows]
        colour, symbol = tone(LOOKS[said][0]), LOOKS[said][1]
        figure.add_scatter(
            x=[value for value, _, _ in gains],
            y=[_text(each.label) for each in rows],
            name=name,
            mode="markers",
            marker=mark(colour, symbol),
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [high - value for value, _, high in gains],
                "arrayminus": [value - low for value, low, _ in gains],
                "color": colour,
                "thickness": 2,
                "width": 6,
            },
            customdata=[[escape(each.sentence, quote=False)] for each in rows],
            hovertemplate="%{y}: %{customdata[0]}<extra></extra>",
        )
    frame(figure, height=88 + 34 * len(shown))
    figure.update_layout(
        showlegend=True,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "font": {"color": ink()}},
    )
    figure.update_xaxes(
        title={"text": "worse  ←  change in points  →  better", "font": {"color": ink()}},
        zeroline=True, zerolinecolor=ZERO, zerolinewidth=2, gridcolor=GRID,
    )  # fmt: skip
    figure.update_yaxes(
        categoryorder="array", categoryarray=[_text(each.label) for each in shown][::-1]
    )
    words = "; ".join(f"{each.label} {each.sentence}" for each in shown)
    return figure, f"Before and after on {images_of(split)}: {words or 'no figures'}."


def _gain(each: FigureView) -> tuple[float, float, float]:
    """Value, low and high of the change for the better, in points."""
    sign = 100.0 if each.higher_is_better else -100.0
    found = each.difference
    value = sign * (found.value or 0.0)
    if found.low is None or found.high is None:
        return value, value, value
    ends = sorted((sign * found.low, sign * found.high))
    return value, min(ends[0], value), max(ends[1], value)


def parts(rows: Sequence[PartView], what: str, split: str) -> tuple[go.Figure, str]:
    """Accuracy of each class or group: a ring before, a diamond with its interval after."""
    shown = rows[:MOST]
    names = [_narrow(f"{row.name} ({row.n})") for row in shown]
    lines = 1 + max((name.count("<br>") for name in names), default=0)
    figure = go.Figure()
    for row, name in zip(shown, names, strict=True):
        if row.before.value is not None and row.after.value is not None:
            figure.add_shape(
                type="line", x0=100 * row.before.value, x1=100 * row.after.value, y0=name, y1=name,
                line={"color": GRID, "width": 6}, layer="below",
            )  # fmt: skip
    for title, colour, symbol, found in (
        ("before", BEFORE, "circle-open", [row.before for row in shown]),
        ("after", tone(AFTER), "diamond", [row.after for row in shown]),
    ):
        figure.add_scatter(
            x=[None if each.value is None else 100 * each.value for each in found],
            y=names,
            name=title,
            mode="markers",
            marker=mark(colour, symbol),
            error_x=_bars(found, colour),
            customdata=[[interval(each)] for each in found],
            hovertemplate="%{y}, " + title + ": %{x:.1f} %, 95 % interval %{customdata[0]}"
            "<extra></extra>",
        )
    frame(figure, height=LEGEND + AXIS + (ROW + LETTER * lines) * len(shown))
    # The right margin is for the half of "100 %" that stands beyond the plot.
    figure.update_layout(
        margin={"l": 0, "r": 26, "t": LEGEND, "b": 0},
        legend={"orientation": "h", "x": 0, "xref": "container", "y": 1, "yref": "container",
                "yanchor": "top", "font": {"color": ink()}},
    )  # fmt: skip
    figure.update_xaxes(
        range=[-3, 104], tickvals=TICKS, ticktext=[f"{tick} %" for tick in TICKS], gridcolor=GRID,
        title={"text": "accuracy", "font": {"color": ink()}},
    )  # fmt: skip
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1])
    words = "; ".join(
        f"{row.name} from {share(row.before.value)} to {share(row.after.value)}" for row in shown
    )
    more = f"; and {len(rows) - MOST} more in the table" if len(rows) > MOST else ""
    return figure, f"Accuracy of each {what} on {images_of(split)}: {words}{more}."


def _bars(found: Sequence[Estimate], colour: str) -> dict[str, object]:
    reach = [_reach(each) for each in found]
    return {
        "type": "data", "symmetric": False, "color": colour, "thickness": 1.5, "width": 4,
        "array": [up for _, up in reach], "arrayminus": [down for down, _ in reach],
    }  # fmt: skip


def _reach(each: Estimate) -> tuple[float, float]:
    """How far the interval reaches to both sides, in points."""
    if each.value is None or each.low is None or each.high is None:
        return 0.0, 0.0
    return 100 * max(0.0, each.value - each.low), 100 * max(0.0, each.high - each.value)


def interval(each: Estimate) -> str:
    """An interval of a share in words; a dash where there is none.

    >>> interval(Estimate(0.5, 0.41, 0.6)), interval(Estimate(0.5))
    ('41.0 to 60.0 %', '–')
    """
    if each.low is None or each.high is None:
        return "–"
    return f"{100 * each.low:.1f} to {100 * each.high:.1f} %"


def change(each: Estimate) -> str:
    """A difference of shares with its interval, in points.

    >>> change(Estimate(0.12, 0.08, 0.163)), change(Estimate(None))
    ('+12.0 (+8.0\\xa0to\\xa0+16.3)', '–')
    """
    if each.value is None:
        return "–"
    if each.low is None or each.high is None:
        return points(each.value)
    between = firm(f"({points(each.low)} to {points(each.high)})")
    return f"{points(each.value)} {between}"


def _text(name: str) -> str:
    """A name with what Plotly would read as HTML escaped, cut to a readable length."""
    return escape(name if len(name) <= 44 else f"{name[:43]}…", quote=False)


def _narrow(name: str) -> str:
    """The same in lines that leave the plot beside them its room."""
    return "<br>".join(
        escape(line, quote=False) for line in wrap(name, LINE, max_lines=3, placeholder="…")
    )
