"""Plots of the home screen. Each returns the figure and the same in words.

People, and what is over time, differ in pattern, dash and mark, never in colour alone.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from html import escape

import plotly.graph_objects as go

from dashboard.viewmodels.concept_names import cut
from dashboard.viewmodels.home import AgreementPoint, DayOfWork, SpuriousCell
from dashboard.views.figures import frame, ink, tone
from dashboard.views.text import day as written
from dashboard.views.text import share

GRID = "rgba(128, 140, 152, .28)"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#a36b00", "#6d7a86", "#cc79a7")
PATTERNS = ("", "/", "x", "\\", ".", "+")
OTHERS = "all others"
DAYS, WEEKS = 28, 26  # bars in the chart of the work


def work(
    rows: Sequence[DayOfWork], today: date, *, by_week: bool
) -> tuple[go.Figure, str, tuple[tuple[str, int, int], ...]]:
    """Words per day or week, stacked by person; also (person, words, cases) of what is shown."""
    step = timedelta(days=7 if by_week else 1)
    last = today - timedelta(days=today.weekday()) if by_week else today
    starts = [last - n * step for n in range((WEEKS if by_week else DAYS) - 1, -1, -1)]
    shown = [row for row in rows if row.day >= starts[0]]
    totals: dict[str, list[int]] = {}
    for row in shown:
        total = totals.setdefault(row.person, [0, 0])
        total[0], total[1] = total[0] + row.words, total[1] + row.cases
    people = sorted(totals, key=lambda who: (-totals[who][0], who))
    drawn = people[: len(COLOURS)] if len(people) <= len(COLOURS) else people[: len(COLOURS) - 1]
    figure = go.Figure()
    for n, who in enumerate([*drawn, *([OTHERS] if len(drawn) < len(people) else [])]):
        counts = dict.fromkeys(starts, 0)
        for row in shown:
            if row.person == who or (who == OTHERS and row.person not in drawn):
                counts[_start(row.day, by_week=by_week)] += row.words
        figure.add_bar(
            x=[day.isoformat() for day in starts], y=list(counts.values()), name=short(who),
            marker={"color": tone(COLOURS[n % 6]), "pattern": {"shape": PATTERNS[n % 6]}},
            hovertemplate=f"{short(who)}, %{{x}}: %{{y}} words<extra></extra>",
        )  # fmt: skip
    _timed(figure, "words", 250)
    figure.update_layout(barmode="stack", bargap=0.15)
    what = "week, by its Monday" if by_week else "day"
    listed = tuple((who, totals[who][0], totals[who][1]) for who in people)
    words = "; ".join(f"{who} {count:,} words" for who, count, _ in listed[:12])
    unit = f"{len(starts)} {'weeks' if by_week else 'days'}"
    return figure, f"Words per {what}, of the last {unit}: {words or 'none'}.", listed


def _start(day: date, *, by_week: bool) -> date:
    return day - timedelta(days=day.weekday()) if by_week else day


def covered(rows: Sequence[tuple[date, int]], total: int) -> tuple[go.Figure, str]:
    """Cases done over time, beside how many there are."""
    figure = go.Figure()
    figure.add_scatter(
        x=[day.isoformat() for day, _ in rows], y=[count for _, count in rows], name="cases done",
        mode="lines+markers" if len(rows) <= 40 else "lines",
        line={"color": tone("#0072b2"), "width": 2, "shape": "hv"},
        hovertemplate="%{x}: %{y} cases done<extra></extra>",
    )  # fmt: skip
    if total:
        figure.add_hline(y=total, line={"color": ink(), "dash": "dot"})
    _timed(figure, "cases; dotted: all", 230)
    figure.update_yaxes(range=[0, 1.06 * max(total, 1)])
    if not rows:
        return figure, "Cases done over time: none yet."
    day, count = rows[-1]
    part = f" of {total:,} ({share(count / total)})" if total else ""
    begun = written(rows[0][0])
    return figure, f"Cases done over time: {count:,}{part} by {written(day)}, begun on {begun}."


def agreement(points: Sequence[AgreementPoint], stretch: str) -> tuple[go.Figure, str]:
    """Krippendorff's alpha of each stretch with its interval."""
    shown = [each for each in points if each.alpha.value is not None]
    values = [each.alpha.value or 0.0 for each in shown]
    figure = go.Figure()
    figure.add_scatter(
        x=[each.start.isoformat() for each in shown], y=values, mode="lines+markers",
        name="alpha", line={"color": tone("#0072b2"), "width": 2}, marker={"size": 8},
        error_y={
            "type": "data", "symmetric": False, "thickness": 1.5, "width": 4,
            "color": tone("#0072b2"),
            "array": [_reach(each.alpha.high, v) for each, v in zip(shown, values, strict=True)],
            "arrayminus": [
                -_reach(each.alpha.low, v) for each, v in zip(shown, values, strict=True)
            ],
        },
        customdata=[[each.cues, each.cases] for each in shown],
        hovertemplate="%{x}: %{y:.2f}, %{customdata[0]} cues in %{customdata[1]} cases"
        "<extra></extra>",
    )  # fmt: skip
    figure.add_hline(y=0, line={"color": ink(), "dash": "dot"})
    _timed(figure, "alpha; 0 is chance", 230)
    figure.update_yaxes(range=[-0.5 if min(values, default=0) < 0 else -0.08, 1.06])
    said = "; ".join(
        f"{written(each.start)} {each.alpha.value:.2f}" for each in shown[-12:] if each.alpha.value
    )
    return figure, f"Krippendorff's alpha by {stretch}: {said or 'not defined yet'}."


def spurious(cells: Sequence[SpuriousCell]) -> tuple[go.Figure, str]:
    """Concepts by decided class: the share of the words on them that say spurious."""
    names = {cell.concept_id: short(cell.name) for cell in cells}
    classes = sorted({cell.class_name for cell in cells})
    at = {(cell.concept_id, cell.class_name): cell for cell in cells}
    shares, texts = [], []
    for concept_id in names:
        found = [at.get((concept_id, each)) for each in classes]
        shares.append([100 * c.spurious / c.judged if c else None for c in found])
        texts.append([f"{c.spurious} of {c.judged}" if c else "" for c in found])
    figure = go.Figure(
        go.Heatmap(
            z=shares, x=[short(each) for each in classes], y=list(range(len(names))), text=texts,
            customdata=[[name] * len(classes) for name in names.values()], xgap=2, ygap=2,
            texttemplate="%{text}", zmin=0, zmax=100, hoverongaps=False,
            colorscale=[[0, "#e8f1f8"], [0.5, "#f3c98f"], [1, "#d55e00"]],
            textfont={"color": "#0e1720"},
            colorbar={"title": {"text": "% spurious", "font": {"color": ink()}}, "thickness": 12,
                      "tickfont": {"color": ink()}},
            hovertemplate="%{customdata} where %{x} was decided: %{text} words say spurious"
            "<extra></extra>",
        )
    )  # fmt: skip
    frame(figure, height=80 + 30 * len(names))
    # Rows are places, not names: what bears one name, or is cut to one, must not fall together.
    figure.update_yaxes(
        autorange="reversed", tickvals=list(range(len(names))), ticktext=list(names.values())
    )
    figure.update_xaxes(type="category")
    said = "; ".join(
        f"{cell.name} in {cell.class_name} {cell.spurious} of {cell.judged}"
        for cell in sorted(cells, key=lambda cell: -cell.spurious)[:12]
    )
    return figure, f"Words that say spurious, by concept and decided class: {said or 'none'}."


def short(name: str) -> str:
    """A name with what Plotly would read as HTML escaped, cut to a readable length."""
    return escape(cut(name, 28), quote=False)


def _timed(figure: go.Figure, unit: str, height: int) -> None:
    frame(figure, height=height)
    figure.update_layout(
        showlegend=len(figure.data) > 1,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "font": {"color": ink()}},
    )
    figure.update_xaxes(gridcolor=GRID, type="date")
    days = sorted({day for each in figure.data for day in each.x or ()})
    if len(days) < 3:  # Plotly would tell one day in parts of a second
        figure.update_xaxes(tickvals=days, tickformat="%d %b %Y")
    figure.update_yaxes(
        gridcolor=GRID, rangemode="tozero", title={"text": unit, "font": {"color": ink()}}
    )


def _reach(end: float | None, value: float) -> float:
    return 0.0 if end is None else end - value
