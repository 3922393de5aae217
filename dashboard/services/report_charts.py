"""Charts as plain SVG: no script, no font of their own, printable, each with a text alternative.

Colours are Okabe and Ito's; what a colour says, a shape or a word says too. Widths are in the
drawing's own units (640 wide), which the page scales.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from markupsafe import Markup, escape

from dashboard.services.report_filters import printable

WIDTH: Final = 640
LABEL: Final = 190  # for the words on the left
RIGHT: Final = 110  # for the figures on the right
ROW: Final = 24
INK, FAINT, GRID = "#1b1f24", "#57606a", "#d0d7de"
BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
FONT: Final = 'font-family="Liberation Sans, Noto Sans, sans-serif"'
LONGEST: Final = 30  # characters of a label


@dataclass(frozen=True)
class Bar:
    """A row of a bar chart; the interval is left out where there is none."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    text: str = ""  # at the right end


@dataclass(frozen=True)
class Pair:
    """A figure before and after, each with its interval."""

    label: str
    before: Bar
    after: Bar


@dataclass(frozen=True)
class Point:
    """A point of a curve; `n` decides how large it is drawn."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    n: int = 0


def bars(
    rows: Sequence[Bar], *, title: str, low: float = 0.0, high: float = 1.0, as_percent: bool = True
) -> Markup:
    """Horizontal bars with whiskers from `low` to `high`; "" without rows."""
    if not rows:
        return Markup("")
    height = ROW * len(rows) + 30
    scale = _Scale(low, high, LABEL, WIDTH - RIGHT)
    parts = [_axis(scale, height - 26, as_percent)]
    for at, row in enumerate(rows):
        y = 6 + ROW * at
        parts.append(_text(LABEL - 8, y + 14, _cut(row.label), "end"))
        if row.value is not None:
            x0, x1 = sorted((scale(max(low, min(0.0, high))), scale(row.value)))
            parts.append(
                f'<rect x="{x0:.1f}" y="{y + 4}" width="{max(x1 - x0, 0.5):.1f}" height="13" '
                f'fill="{BLUE}" fill-opacity="0.75"/>'
            )
            parts.append(_whisker(scale, row, y + 10.5))
        parts.append(_text(WIDTH - RIGHT + 8, y + 14, row.text, "start", FAINT))
    told = "; ".join(f"{row.label}: {row.text or _plain(row.value)}" for row in rows)
    return _svg(height, title, told, parts)


def pairs(rows: Sequence[Pair], *, title: str, low: float = 0.0, high: float = 1.0) -> Markup:
    """Before (hollow circle) and after (filled square) with their intervals; "" without rows."""
    if not rows:
        return Markup("")
    row_height = ROW + 10
    height = row_height * len(rows) + 48
    scale = _Scale(low, high, LABEL, WIDTH - RIGHT)
    parts = [_axis(scale, height - 26, True), _legend()]
    for at, row in enumerate(rows):
        y = 28 + row_height * at
        parts.append(_text(LABEL - 8, y + 13, _cut(row.label), "end"))
        for bar, place, ink in ((row.before, y + 4, VERMILLION), (row.after, y + 16, BLUE)):
            if bar.value is not None:
                parts.append(_whisker(scale, bar, place, ink))
                parts.append(_mark(scale(bar.value), place, ink, hollow=bar is row.before))
        parts.append(_text(WIDTH - RIGHT + 8, y + 13, row.after.text, "start", FAINT))
    told = "; ".join(
        f"{r.label}: before {r.before.text or _plain(r.before.value)}, "
        f"after {r.after.text or _plain(r.after.value)}"
        for r in rows
    )
    return _svg(height, title, told, parts)


def reliability(points: Sequence[Point], *, title: str) -> Markup:
    """Accuracy (y) against stated confidence (x); on the diagonal both are the same."""
    if not points:
        return Markup("")
    side, left, top = 250, 60, 10
    most = max(point.n for point in points) or 1
    parts = [_square(side, left, top)]
    for point in sorted(points, key=lambda p: p.x):
        x, y = left + side * point.x, top + side * (1 - point.y)
        if point.low is not None and point.high is not None:
            ends = [top + side * (1 - end) for end in (point.low, point.high)]
            parts.append(_line(x, ends[0], x, ends[1], BLUE, 1.5))
        radius = 3 + 5 * (point.n / most) ** 0.5
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{BLUE}" '
            'fill-opacity="0.85" stroke="#ffffff"/>'
        )
    told = "; ".join(
        f"stated {100 * p.x:.0f} %, right {100 * p.y:.0f} % of {p.n} cases" for p in points
    )
    return _svg(side + 56, title, told, parts, width=side + 90)


def curve(
    points: Sequence[Point], labels: Sequence[str], *, title: str, low: float = 0.0,
    high: float = 1.0,
) -> Markup:  # fmt: skip
    """A figure over time with its intervals; `labels` stand below, one per point."""
    if not points:
        return Markup("")
    left, right, top, height = 50, WIDTH - 20, 12, 190
    bottom = height - 30
    across = _Scale(0, max(len(points) - 1, 1), left + 20, right - 20)
    up = _Scale(low, high, bottom, top)
    parts = [
        _line(left, up(v), right, up(v), GRID, 1) + _text(left - 6, up(v) + 4, f"{v:.1f}", "end")
        for v in _ticks(low, high)
    ]
    places = [(across(at), up(point.y)) for at, point in enumerate(points)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts.append(f'<polyline points="{path}" fill="none" stroke="{BLUE}" stroke-width="2"/>')
    step = max(1, len(points) // 8)
    for at, (point, (x, y)) in enumerate(zip(points, places, strict=True)):
        if point.low is not None and point.high is not None:
            parts.append(_line(x, up(point.low), x, up(point.high), BLUE, 1.5))
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{BLUE}"/>')
        if at % step == 0:
            parts.append(_text(x, height - 10, labels[at], "middle"))
    told = "; ".join(f"{label}: {point.y:.2f}" for label, point in zip(labels, points, strict=True))
    return _svg(height, title, told, parts)


@dataclass(frozen=True)
class _Scale:
    """From a value to a place; values beyond the ends are drawn at the ends."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / ((self.high - self.low) or 1.0)
        return self.start + share * (self.end - self.start)


def _ticks(low: float, high: float, count: int = 5) -> list[float]:
    return [low + (high - low) * at / (count - 1) for at in range(count)]


def _axis(scale: _Scale, bottom: float, as_percent: bool) -> str:
    found = []
    for value in _ticks(scale.low, scale.high):
        x = scale(value)
        shown = f"{100 * value:.0f} %" if as_percent else f"{value:g}"
        found.append(_line(x, 4, x, bottom, GRID, 1))
        found.append(_text(x, bottom + 16, shown, "middle", FAINT))
    return "".join(found)


def _square(side: int, left: int, top: int) -> str:
    found = [
        f'<rect x="{left}" y="{top}" width="{side}" height="{side}" fill="none" stroke="{FAINT}"/>',
        f'<line x1="{left}" y1="{top + side}" x2="{left + side}" y2="{top}" stroke="{FAINT}" '
        'stroke-dasharray="5 4"/>',
        _text(left + side / 2, top + side + 38, "stated confidence", "middle"),
        f'<text transform="rotate(-90 14 {top + side / 2})" x="14" y="{top + side / 2}" {FONT} '
        f'font-size="12" fill="{INK}" text-anchor="middle">share that is right</text>',
    ]
    for value in _ticks(0, 1):
        x, y = left + side * value, top + side * (1 - value)
        found.append(_text(x, top + side + 18, f"{100 * value:.0f} %", "middle", FAINT))
        found.append(_text(left - 5, y + 4, f"{100 * value:.0f} %", "end", FAINT))
    return "".join(found)


def _legend() -> str:
    x = LABEL
    return (
        _mark(x + 6, 14, VERMILLION, hollow=True) + _text(x + 18, 18, "before", "start")
        + _mark(x + 86, 14, BLUE, hollow=False) + _text(x + 98, 18, "after", "start")
    )  # fmt: skip


def _mark(x: float, y: float, ink: str, *, hollow: bool) -> str:
    if hollow:
        return (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="#ffffff" stroke="{ink}" '
            'stroke-width="2"/>'
        )
    return f'<rect x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9" fill="{ink}"/>'


def _whisker(scale: _Scale, bar: Bar, y: float, ink: str = INK) -> str:
    if bar.low is None or bar.high is None:
        return ""
    x0, x1 = scale(bar.low), scale(bar.high)
    ends = (_line(x, y - 4, x, y + 4, ink, 1.5) for x in (x0, x1))
    return _line(x0, y, x1, y, ink, 1.5) + "".join(ends)


def _line(x0: float, y0: float, x1: float, y1: float, ink: str, width: float) -> str:
    return (
        f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="{ink}" '
        f'stroke-width="{width}"/>'
    )


def _text(
    x: float, y: float, text: str, anchor: Literal["start", "middle", "end"], ink: str = INK
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" {FONT} font-size="12" fill="{ink}" '
        f'text-anchor="{anchor}">{escape(printable(text))}</text>'
    )


def _plain(value: float | None) -> str:
    return "not known" if value is None else f"{value:.3g}"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "\u2026"


def _svg(
    height: float, title: str, told: str, parts: Sequence[str], width: float = WIDTH
) -> Markup:
    """The drawing; its text alternative holds every figure that it shows."""
    alt = escape(printable(f"{title}. {told}."))
    # Every text was escaped above; the rest are numbers and constants of this file.
    return Markup(
        f'<svg class="chart" role="img" aria-label="{alt}" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" xmlns="http://www.w3.org/2000/svg">'
        f"{''.join(parts)}</svg>"
    )
