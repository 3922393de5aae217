"""Live curves of a run: one plot per figure, the series told apart by dash and mark.

Each plot comes with a text alternative that says in words where every curve stands.
"""

import re
from collections.abc import Sequence

import plotly.graph_objects as go

from dashboard.viewmodels.runs import CurveView
from dashboard.views.figures import frame, ink, tone

LOOKS = (  # Okabe-Ito, with dash and mark: never colour alone
    ("#0072b2", "solid", "circle"),
    ("#d55e00", "dash", "square"),
    ("#009e73", "dot", "diamond"),
    ("#cc79a7", "dashdot", "triangle-up"),
    ("#8a97a3", "longdash", "x"),
)
GRID = "rgba(128, 140, 152, .28)"
MOST = 400  # points of one curve that are sent to the browser
MARKED = 40  # curves with more points are drawn as lines alone


def families(curves: Sequence[CurveView]) -> tuple[tuple[str, tuple[CurveView, ...]], ...]:
    """Curves of one figure together: "train.loss" and "val.loss" share a plot.

    >>> a = CurveView("train.loss", "Loss, training", "nats", "", ((1, 2.0),))
    >>> b = CurveView("val.loss", "Loss, validation", "nats", "", ((1, 2.1),))
    >>> c = CurveView("val/accuracy", "Accuracy", "share", "", ((1, .5),))
    >>> [(name, len(group)) for name, group in families((a, b, c))]
    [('loss', 2), ('accuracy', 1)]
    """
    groups: dict[tuple[str, str], list[CurveView]] = {}
    for curve in curves:
        if curve.points:
            figure = re.split(r"[./]", curve.series)[-1]
            groups.setdefault((figure, curve.unit), []).append(curve)
    return tuple((name, tuple(group)) for (name, _), group in groups.items())


def plot(name: str, group: Sequence[CurveView]) -> tuple[go.Figure, str]:
    """The curves of one figure over the steps."""
    unit = group[0].unit
    as_share = unit == "share"
    figure = go.Figure()
    for at, curve in enumerate(group):
        usual, dash, mark = LOOKS[at % len(LOOKS)]
        colour = tone(usual)
        shown = thinned(curve.points)
        figure.add_scatter(
            x=[step for step, _ in shown],
            y=[100 * value if as_share else value for _, value in shown],
            name=curve.label,
            mode="lines+markers" if len(shown) <= MARKED else "lines",
            line={"color": colour, "dash": dash, "width": 2},
            marker={"symbol": mark, "size": 6},
            hovertemplate=f"{curve.label}, step %{{x}}: %{{y:.3g}}{' %' if as_share else ''}"
            "<extra></extra>",
        )
    frame(figure, height=230)
    figure.update_layout(
        showlegend=len(group) > 1,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "font": {"color": ink()}},
    )
    figure.update_xaxes(title={"text": "step", "font": {"color": ink()}}, gridcolor=GRID)
    title = "%" if as_share else unit
    figure.update_yaxes(title={"text": title, "font": {"color": ink()}}, gridcolor=GRID)
    return figure, _words(name, group)


def thinned(points: Sequence[tuple[int, float]]) -> Sequence[tuple[int, float]]:
    """At most `MOST` points, evenly spread; the first and the last always stay.

    >>> len(thinned([(n, 0.0) for n in range(10_000)])), thinned([(1, 2.0)])
    (400, [(1, 2.0)])
    """
    if len(points) <= MOST:
        return points
    last = len(points) - 1
    return [points[round(at * last / (MOST - 1))] for at in range(MOST)]


def value(curve: CurveView) -> str:
    """Where a curve stands, with its unit.

    >>> value(CurveView("a", "A", "share", "", ((1, .5), (2, .61))))
    '61.0 %'
    """
    newest = curve.points[-1][1]
    return (
        f"{100 * newest:.1f} %" if curve.unit == "share" else f"{newest:.3g} {curve.unit}".strip()
    )


def _words(name: str, group: Sequence[CurveView]) -> str:
    parts = []
    for curve in group:
        step, _ = curve.points[-1]
        first = CurveView(curve.series, curve.label, curve.unit, "", curve.points[:1])
        parts.append(f"{curve.label} from {value(first)} to {value(curve)} at step {step}")
    return f"Curve of {name} over the steps: {'; '.join(parts)}."
